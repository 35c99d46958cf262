use dahlquist::{
    activation::*, field::*, integrate::*, layer::*, operator::*, rigor::torus::PaddingMode, tensor::*, *,
};
use rand::{RngExt, SeedableRng};
use rand_distr::StandardNormal;
fn net<T: scalar::Scalar>(tab: fn() -> Tableau) -> Network<T> {
    let mut rng = rand_chacha::ChaCha8Rng::seed_from_u64(1);
    let mut g =
        |n: usize, s: f64| -> Vec<T> { (0..n).map(|_| T::of(s * rng.sample::<f64, _>(StandardNormal))).collect() };
    let sh = Shape::image(3, 8, 8);
    let mut l: Vec<Box<dyn Layer<T>>> = vec![];
    l.push(Box::new(Normalize::new(sh, g(3, 0.1), vec![T::of(0.5); 3]).unwrap()));
    l.push(Box::new(Reshape::space_to_depth(sh, 2).unwrap()));
    let s2 = Shape::image(12, 4, 4);
    for mode in [PaddingMode::Zeros, PaddingMode::Circular] {
        let geo = Geometry { input: s2, outputs: 5, kernel: (3, 3), stride: 1, padding: 1, mode };
        let c = Conv2d::new(geo, g(5 * 12 * 9, 0.3)).unwrap();
        let f =
            GradientField::new(Affine::new(c, Some(g(5, 0.3))).unwrap(), Activation::LeakyRelu { slope: 0.1 }).unwrap();
        l.push(Box::new(Flow::new(f, tab(), Step::Relative(0.9), 2).unwrap()));
    }
    let geo = Geometry { input: s2, outputs: 6, kernel: (3, 2), stride: 2, padding: 1, mode: PaddingMode::Zeros };
    l.push(Box::new(AffineLayer::new(
        Affine::new(Conv2d::new(geo, g(6 * 12 * 6, 0.3)).unwrap(), Some(g(6, 0.3))).unwrap(),
    )));
    let s3 = l.last().unwrap().output();
    println!("{s3}");
    l.push(Box::new(AffineLayer::new(Affine::new(MeanPool::new(s3, 2).unwrap(), None).unwrap())));
    l.push(Box::new(Reshape::flatten(l.last().unwrap().output())));
    let n = l.last().unwrap().output().len();
    let a = Affine::new(Dense::new(7, n, g(7 * n, 0.3)).unwrap(), Some(g(7, 0.3))).unwrap();
    let b = Affine::new(Dense::new(n, 7, g(7 * n, 0.3)).unwrap(), Some(g(n, 0.3))).unwrap();
    l.push(Box::new(
        Flow::new(ResidualField::new(a, Activation::Softplus {}, b).unwrap(), Tableau::euler(), Step::Fixed(1.0), 1)
            .unwrap(),
    ));
    l.push(Box::new(
        AffineLayer::with_unit_rows(Affine::new(Dense::new(4, n, g(4 * n, 0.3)).unwrap(), Some(g(4, 0.3))).unwrap())
            .unwrap(),
    ));
    let mut n = Network::new(sh, l).unwrap();
    for _ in 0..2000 {
        n.prepare();
    }
    n
}
#[test]
fn gradients() {
    for tab in [Tableau::euler as fn() -> Tableau, Tableau::rk4, Tableau::ssprk43, Tableau::ralston3] {
        let mut n = net::<f64>(tab);
        let mut rng = rand_chacha::ChaCha8Rng::seed_from_u64(2);
        let x = Batch::new(n.input(), (0..2 * 192).map(|_| rng.sample::<f64, _>(StandardNormal)).collect()).unwrap();
        let v = Batch::new(n.input(), (0..2 * 192).map(|_| rng.sample::<f64, _>(StandardNormal)).collect()).unwrap();
        let g = Batch::new(n.output(), (0..2 * 4).map(|_| rng.sample::<f64, _>(StandardNormal)).collect()).unwrap();
        let (_, tape) = n.forward_recording(x.clone()).unwrap();
        let jv = n.jvp(&tape, v.clone()).unwrap();
        let mut grad = n.gradient();
        let jg = n.vjp(&tape, g.clone(), Some(&mut grad)).unwrap();
        let dot = |a: &Batch<f64>, b: &Batch<f64>| a.data().iter().zip(b.data()).map(|(a, b)| a * b).sum::<f64>();
        println!("{} {}", dot(&jv, &g), dot(&jg, &v));
        let mut xp = x.clone();
        xp.axpy(1e-6, &v);
        let mut xm = x.clone();
        xm.axpy(-1e-6, &v);
        let fd = (dot(&n.forward(&xp).unwrap(), &g) - dot(&n.forward(&xm).unwrap(), &g)) / 2e-6;
        println!("fd {fd}");
        n.pull_back(&mut grad);
        // parameter fd
        let shapes: Vec<Vec<usize>> = n.parameters_mut().iter().map(|p| p.iter().map(|s| s.len()).collect()).collect();
        let dir: Vec<Vec<Vec<f64>>> = shapes
            .iter()
            .map(|l| l.iter().map(|&k| (0..k).map(|_| rng.sample::<f64, _>(StandardNormal)).collect()).collect())
            .collect();
        for li in 0..shapes.len() {
            if shapes[li].is_empty() {
                continue;
            }
            let an: f64 =
                grad.0[li].iter().zip(&dir[li]).map(|(g, d)| g.iter().zip(d).map(|(a, b)| a * b).sum::<f64>()).sum();
            let mut val = |e: f64| {
                for (p, d) in n.parameters_mut()[li].iter_mut().zip(&dir[li]) {
                    for (p, d) in p.iter_mut().zip(d) {
                        *p += e * d;
                    }
                }
                for _ in 0..300 {
                    n.prepare();
                }
                let r = dot(&n.forward(&x).unwrap(), &g);
                for (p, d) in n.parameters_mut()[li].iter_mut().zip(&dir[li]) {
                    for (p, d) in p.iter_mut().zip(d) {
                        *p -= e * d;
                    }
                }
                r
            };
            let fd = (val(1e-6) - val(-1e-6)) / 2e-6;
            println!("layer {li} analytic {an} fd {fd}");
        }
        let s = n.seal().unwrap();
        for e in &s.certificate().layers {
            println!("{:?}", e);
        }
        println!("{:?}", s.certificate().lipschitz);
        for sem in [Semantics::Exact, Semantics::Executed] {
            println!("{:?}", s.certify(&x, sem).unwrap());
        }
    }
    let n = net::<f32>(Tableau::rk4);
    let s = n.seal().unwrap();
    let x = Batch::new(s.network().input(), vec![0.3f32; 192]).unwrap();
    for sem in [Semantics::Exact, Semantics::Executed] {
        println!("{:?}", s.certify(&x, sem).unwrap());
    }
    dahlquist::io::save(s.network(), std::path::Path::new("/tmp/m.safetensors")).unwrap();
    let dahlquist::io::AnyNetwork::F32(m) = dahlquist::io::load(std::path::Path::new("/tmp/m.safetensors")).unwrap()
    else {
        panic!()
    };
    assert_eq!(m.forward(&x).unwrap(), s.network().forward(&x).unwrap());
    println!("{}", String::from_utf8_lossy(&std::fs::read("/tmp/m.safetensors").unwrap()[..3000]));
}
