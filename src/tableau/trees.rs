//! The order conditions of Runge–Kutta methods, one for each rooted tree.
//!
//! A method has order `p` if and only if every rooted tree `t` with at most `p` vertices has
//!
//! ```math
//! \sum_i b_i\, φ_i(t) = \frac1{γ(t)},\qquad φ_i([t_1, …, t_k]) = \prod_{l=1}^k \sum_j a_{ij}\, φ_j(t_l),\qquad
//!    γ([t_1, …, t_k]) = |t| \prod_{l=1}^k γ(t_l),
//! ```
//!
//! where `τ = []` is the tree of one vertex and `[t₁, …, t_k]` joins trees to a new root.
//!
//! Source: Butcher, *Numerical methods for ordinary differential equations* (2016), section 315.

use super::exact::Surd;

/// A rooted tree, as the coefficients of a method see it.
#[derive(Clone)]
struct Tree {
    /// The number of vertices.
    vertices: usize,
    /// `γ(t)`.
    density: i64,
    /// The trees below the root, in brackets.
    notation: String,
    /// `φᵢ(t)`.
    weights: Vec<Surd>,
    /// `Σⱼ aᵢⱼ φⱼ(t)`.
    grafted: Vec<Surd>,
}

/// Returns the first order condition up to `order` that fails, in words; `None` if the method has this order.
pub(super) fn violated(a: &[Vec<Surd>], b: &[Surd], order: usize) -> Option<String> {
    let root = Tree {
        vertices: 1,
        density: 1,
        notation: String::new(),
        weights: vec![Surd::from(1); b.len()],
        grafted: Vec::new(),
    };
    let mut trees: Vec<Tree> = Vec::new();
    for vertices in 1..=order {
        let mut grown = Vec::new();
        grow(&trees, trees.len(), vertices - 1, &root, &mut grown);
        for mut tree in grown {
            tree.density *= vertices as i64;
            tree.notation = if vertices == 1 { "τ".into() } else { format!("[{}]", tree.notation) };
            let sum: Surd = b.iter().zip(&tree.weights).map(|(b, phi)| b * phi).sum();
            if &sum * &Surd::from(tree.density) != Surd::from(1) {
                let (notation, density) = (tree.notation, tree.density);
                return Some(format!(
                    "the order condition of the tree {notation} fails: Σ bφ = {sum}, not 1/{density}"
                ));
            }
            tree.grafted = a.iter().map(|row| row.iter().zip(&tree.weights).map(|(a, phi)| a * phi).sum()).collect();
            trees.push(tree);
        }
    }
    None
}

/// Joins trees among the first `choice` with `room` vertices together to the root of `tree`, in every way.
fn grow(trees: &[Tree], choice: usize, room: usize, tree: &Tree, grown: &mut Vec<Tree>) {
    if room == 0 {
        grown.push(tree.clone());
        return;
    }
    for (k, child) in trees.iter().enumerate().take(choice).filter(|(_, child)| child.vertices <= room) {
        let taller = Tree {
            vertices: tree.vertices + child.vertices,
            density: tree.density * child.density,
            notation: format!("{}{}", tree.notation, child.notation),
            weights: tree.weights.iter().zip(&child.grafted).map(|(x, y)| x * y).collect(),
            grafted: Vec::new(),
        };
        grow(trees, k + 1, room - child.vertices, &taller, grown);
    }
}
