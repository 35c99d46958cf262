#!/usr/bin/env python3
"""Writes a witness of a small random network: for the tests of the checker."""
import random, sys
from fractions import Fraction as Fr
import math

def chol(G):  # floating-point Cholesky, upper triangular
    n=len(G); R=[[0.0]*n for _ in range(n)]
    for i in range(n):
        s=G[i][i]-sum(R[k][i]**2 for k in range(i)); R[i][i]=math.sqrt(max(s,0.0))
        for j in range(i+1,n):
            R[i][j]=(G[i][j]-sum(R[k][i]*R[k][j] for k in range(i)))/R[i][i] if R[i][i] else 0.0
    return R

def operator(out,rng,m,n,scale,size):
    S=2**scale
    W=[[round(rng.gauss(0,size)*S) for _ in range(n)] for _ in range(m)]
    b=[round(rng.gauss(0,1)*S) for _ in range(m)]
    tr = m<n
    L = W if tr else [list(c) for c in zip(*W)]     # the lists
    k=len(L)
    G=[[sum(x*y for x,y in zip(L[i],L[j])) for j in range(k)] for i in range(k)]
    # power iteration for alpha, then a little more
    v=[1.0]*k
    for _ in range(200):
        w=[sum(G[i][j]*v[j] for j in range(k)) for i in range(k)]
        nn=math.sqrt(sum(x*x for x in w)); v=[x/nn for x in w]
    alpha=int(nn*1.001)+1
    R=chol([[ (alpha if i==j else 0)-float(G[i][j]) for j in range(k)] for i in range(k)])
    Ri=[[round(x) for x in r] for r in R]
    beta=max(sum(abs((alpha if i==j else 0)-G[i][j]-sum(Ri[l][i]*Ri[l][j] for l in range(k))) for j in range(k)) for i in range(k))
    out.append(f"{m} {n} scale {scale}\nweight")
    out += [" ".join(map(str,r)) for r in W]
    out.append("bias "+" ".join(map(str,b)))
    out.append(f"gram {'rows' if tr else 'columns'} alpha {alpha} beta {beta}\nfactor")
    out += [" ".join(map(str,Ri[i][i:])) for i in range(k)]
    return Fr(alpha+beta,S*S), W

def network(seed, n, width, depth, classes, corrupt=False):
    rng=random.Random(seed); out=["dahlquist-witness 1", f"input {n}"]
    K=Fr(1)
    out.append("layer affine")
    k,_=operator(out,rng,width,n,20,1/math.sqrt(n)); K*=k
    out.append("layer activation leaky 1 3")
    for i in range(depth):
        euler = i%2==0
        if euler: t="stages 1 denominator 1 A 0 b 1 radius 1 1"
        else: t="stages 3 denominator 6 A 0 0 0 3 0 0 -6 12 0 b 1 4 1 radius 1 2"
        body=[]; k,_=operator(body,rng,width,width,20,0.7/math.sqrt(width))
        r=Fr(1) if euler else Fr(1,2)
        h=int(2*r/k*2**20)              # rounded down
        out.append(f"layer flow {t} step {h} 20 steps {1+i} leaky 0 0 operator")
        out+=body
    out.append("layer pad 2"); d=width+2
    H=[[round(rng.gauss(0,1)*2**20) for _ in range(d)] for _ in range(classes)]
    out.append(f"head {classes} {d} scale 20 weight"); out += [" ".join(map(str,r)) for r in H]
    L=math.isqrt(int(K*4**30))+1
    out.append(f"lipschitz {L} 30")
    gaps=[0]+[rng.randrange(2**20,2**22) for _ in range(classes-1)]
    eps2=min(Fr(g*g,4**20)/(K*Fr(sum((x-y)**2 for x,y in zip(H[0],H[j])),4**20)) for j,g in enumerate(gaps) if j)
    e=math.isqrt(int(eps2*4**30)); e-= 1
    out.append(f"margin 0 radius {e} 30 gaps 20 "+" ".join(map(str,gaps)))
    out.append("end")
    return "\n".join(out)+"\n"

if __name__ == "__main__":
    sys.stdout.write(network(*map(int, sys.argv[1:6])))
