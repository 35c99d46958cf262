//! Graphs whose nodes are the points of an image: [`super::Linear::GraphGradient`].

use crate::{
    error::{Error, Result},
    rigor::{Upper, directed::sqrt_up, matrix},
    tensor::Shape,
};

/// The most entries of an incidence matrix whose norm is proved as that of a matrix.
const MOST_ENTRIES: usize = 1 << 16;

/// Returns the shape of differences along edges: one row of points, one for each edge.
///
/// # Errors
/// [`Error::Parameter`] if there is no edge, or one has an end that is no point, or both ends in one.
pub(crate) fn output(edges: &[(usize, usize)], outputs: usize, nodes: Shape) -> Result<Shape> {
    nodes.as_image("a graph")?;
    let points = nodes.points();
    if let Some((u, v)) = edges.iter().find(|(u, v)| *u >= points || *v >= points || u == v) {
        let reason = format!("an edge joins two different points, counted from 0 to {}", points - 1);
        return Err(Error::parameter("edges", format!("[{u}, {v}]"), reason));
    }
    if edges.is_empty() {
        return Err(Error::parameter("edges", 0, "a graph has at least one edge"));
    }
    Shape::try_from(vec![outputs, 1, edges.len()])
}

/// Returns the number of edges at each point.
pub(crate) fn degrees(edges: &[(usize, usize)], points: usize) -> Vec<usize> {
    let mut degrees = vec![0; points];
    for &(u, v) in edges {
        degrees[u] += 1;
        degrees[v] += 1;
    }
    degrees
}

/// Returns `√max (deg u + deg v)` over the edges, a bound of the norm of the incidence matrix `G`.
///
/// The row of `GGᵀ` of an edge has 2 on the diagonal, and `±1` for each end of another edge in one of its own: the sum of absolute
/// values is `deg u + deg v`, and no eigenvalue exceeds the largest (Anderson, Morley 1985).
pub(crate) fn degree_bound(edges: &[(usize, usize)], points: usize) -> Upper {
    let degrees = degrees(edges, points);
    let most = edges.iter().map(|&(u, v)| degrees[u] + degrees[v]).max().unwrap_or(0);
    Upper::proved(sqrt_up(most as f64))
}

/// Returns a bound of the norm of the incidence matrix: of a small graph that of the matrix where it is less.
///
/// # Errors
/// As [`matrix::norm`].
pub(crate) fn incidence_norm(edges: &[(usize, usize)], points: usize, sharp: bool) -> Result<Upper> {
    let bound = degree_bound(edges, points);
    if edges.len().saturating_mul(points) > MOST_ENTRIES {
        return Ok(bound);
    }
    let mut incidence = vec![0.0; edges.len() * points];
    for (row, &(u, v)) in incidence.chunks_mut(points).zip(edges) {
        (row[u], row[v]) = (-1.0, 1.0);
    }
    let incidence = faer::MatRef::from_row_major_slice(&incidence, edges.len(), points);
    let norm = if sharp { matrix::sharp_sup_norm(&[incidence]) } else { matrix::norm(incidence) };
    Ok(norm?.min(bound))
}
