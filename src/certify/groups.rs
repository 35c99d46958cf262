//! Consecutive layers that are certified as one map.

use crate::{
    activation::Activation,
    certificate::{Basis, Certificate, Group, Rule},
    error::Result,
    io::{ClaimedGroup, LayerSpec, TensorWriter},
    layer::Layer,
    network::Network,
    rigor::{
        Upper,
        composition::{self, Linear},
        quadratic_constraint::{Chain, Proposal, Stage},
        torus::Axis,
    },
    scalar::Scalar,
    tensor::Shape,
};

/// A layer in plain numbers, as far as claims about more than one layer know it.
pub(super) enum Plain {
    /// Nothing but a new shape.
    Flatten,
    Linear(Linear),
    Activation(Activation),
    /// Anything else.
    Unknown,
}

impl<T: Scalar> Network<T> {
    /// How many layers come before the head.
    pub(super) fn feature_layers(&self) -> usize {
        let head = self.layers().last().is_some_and(|layer| layer.as_affine().is_some());
        self.layers().len() - usize::from(head)
    }

    /// Runs of at least two linear layers, with the norm of their composition, where that is proved.
    pub(super) fn linear_groups(&self) -> Vec<Group> {
        let layers: Vec<&dyn Layer<T>> = self.layers().take(self.feature_layers()).collect();
        let linear = |layer: &&&dyn Layer<T>| !matches!(layer.kind(), "flow" | "activation");
        let (mut groups, mut first) = (Vec::new(), 0);
        while first < layers.len() {
            let count = layers[first..].iter().take_while(linear).count();
            if let Some(lipschitz) = norm_of_run(&layers[first..first + count]) {
                groups.push(Group { first, count, rule: Rule::OperatorNorm, lipschitz, multipliers: Vec::new() });
            }
            first += count.max(1);
        }
        groups
    }

    /// Stacks of matrices and activations of up to `neurons` neurons each, with what multipliers prove about them.
    pub(super) fn stack_groups(&self, neurons: usize) -> Vec<Group> {
        let layers: Vec<Plain> = self.layers().take(self.feature_layers()).map(|layer| plain(layer)).collect();
        let (mut groups, mut first) = (Vec::new(), 0);
        while first < layers.len() {
            let (stages, outer, count) = stack(&layers[first..], neurons);
            // One matrix and its activation are no better together than apart.
            if count > 2
                && let Ok((lipschitz, proposal)) = Chain::stack(stages, outer).and_then(|chain| chain.search())
            {
                let (rule, multipliers) = (Rule::QuadraticConstraint, proposal.multipliers);
                groups.push(Group { first, count, rule, lipschitz, multipliers });
            }
            first += count.max(1);
        }
        groups
    }

    /// Those claims about stacks that their multipliers prove for these weights.
    pub(super) fn proved_again(&self, claimed: &[ClaimedGroup]) -> Vec<Group> {
        let layers: Vec<Plain> = self.layers().take(self.feature_layers()).map(|layer| plain(layer)).collect();
        let prove = |group: &ClaimedGroup| {
            let ClaimedGroup { first, count, rule, bound, multipliers } = group.clone();
            let run = first.checked_add(count).and_then(|end| layers.get(first..end))?;
            let (stages, outer, taken) = stack(run, usize::MAX);
            let proposal = Proposal { bound, multipliers };
            let whole = taken == count && rule == Rule::QuadraticConstraint;
            let lipschitz = Chain::stack(stages, outer).ok().filter(|_| whole)?.prove(&proposal).ok()?;
            Some(Group { first, count, rule, lipschitz, multipliers: proposal.multipliers })
        };
        claimed.iter().filter_map(prove).collect()
    }

    /// The certificate with those of the candidates that make its bounds smallest, no two sharing a layer.
    pub(super) fn grouped(&self, mut certificate: Certificate, candidates: &[Group]) -> Result<Certificate> {
        let layers = &certificate.layers;
        let features = self.feature_layers();
        let proved = |g: &Group| layers[g.first..][..g.count].iter().all(|entry| entry.basis != Basis::Asserted);
        // best[i] is the least bound of the first i layers, and the candidate that ends there, if one does.
        let mut best: Vec<(Upper, Option<&Group>)> = vec![(Upper::ONE, None)];
        for i in 1..=features {
            let mut least = (best[i - 1].0 * layers[i - 1].lipschitz, None);
            for group in candidates.iter().filter(|g| g.first + g.count == i && proved(g)) {
                let bound = best[group.first].0 * group.lipschitz;
                if bound < least.0 {
                    least = (bound, Some(group));
                }
            }
            best.push(least);
        }
        let (mut groups, mut i) = (Vec::new(), features);
        while i > 0 {
            match best[i].1 {
                Some(group) => {
                    groups.insert(0, group.clone());
                    i = group.first;
                }
                None => i -= 1,
            }
        }
        let bound = |count| Certificate::product(layers, &groups, count);
        let lipschitz = bound(layers.len()).finite("the Lipschitz constant of the network")?;
        let features = bound(features).finite("the Lipschitz constant of the features")?;
        (certificate.groups, certificate.lipschitz, certificate.features) = (groups, lipschitz, features);
        Ok(certificate)
    }
}

/// The norm of linear layers in a row, if there are two whose composition may be better than the product.
fn norm_of_run<T: Scalar>(layers: &[&dyn Layer<T>]) -> Option<Upper> {
    let isometry = |kind| matches!(kind, "flatten" | "pad_channels" | "space_to_depth");
    if layers.iter().filter(|layer| !isometry(layer.kind())).count() < 2 {
        return None;
    }
    let mut maps = Vec::new();
    for layer in layers {
        match plain(*layer) {
            Plain::Flatten => {}
            Plain::Linear(map) => maps.push(map),
            Plain::Activation(_) | Plain::Unknown => return None,
        }
    }
    composition::norm(&maps).ok()
}

/// The longest stack that the layers begin with: its stages, its last matrix, and how many layers it takes.
fn stack(layers: &[Plain], neurons: usize) -> (Vec<Stage>, Option<faer::Mat<f64>>, usize) {
    let (mut stages, mut count, mut total): (Vec<Stage>, _, _) = (Vec::new(), 0, 0);
    loop {
        match layers.get(count..).unwrap_or_default() {
            [Plain::Linear(Linear::Dense(weight)), Plain::Activation(function), ..]
                if total + weight.nrows() <= neurons =>
            {
                total += weight.nrows();
                stages.push(Stage { weight: weight.clone(), slopes: function.slopes() });
                count += 2;
            }
            [Plain::Linear(Linear::Dense(weight)), ..] if count > 0 => {
                return (stages, Some(weight.clone()), count + 1);
            }
            _ => return (stages, None, count),
        }
    }
}

/// The layer in plain numbers, as it would be written to a file.
pub(super) fn plain<T: Scalar>(layer: &dyn Layer<T>) -> Plain {
    // The weights of a flow are not copied for nothing.
    let mut tensors = TensorWriter::default();
    if layer.kind() == "flow" {
        return Plain::Unknown;
    }
    layer
        .describe("layer", &mut tensors)
        .ok()
        .and_then(|spec| of_spec(&spec, layer, &tensors))
        .unwrap_or(Plain::Unknown)
}

fn of_spec<T: Scalar>(spec: &LayerSpec, layer: &dyn Layer<T>, tensors: &TensorWriter) -> Option<Plain> {
    let channels = |shape: Shape| shape.as_image("a group").ok();
    Some(match spec {
        LayerSpec::Flatten {} => Plain::Flatten,
        LayerSpec::Activation(function) => Plain::Activation(*function),
        LayerSpec::Flow(_) => Plain::Unknown,
        LayerSpec::Normalize { std, .. } => {
            let repeat = layer.input().len() / std.len().max(1);
            Plain::Linear(Linear::Divide { std: std.clone(), repeat })
        }
        LayerSpec::Dense(dense) => Plain::Linear(Linear::Dense(tensors.matrix(&dense.weight)?)),
        LayerSpec::Conv2d(conv) => {
            let (&[outputs, inputs, ky, kx], (_, height, width)) =
                (tensors.shape(&conv.weight)?, channels(layer.input())?)
            else {
                return None;
            };
            let axis = |input, kernel| Axis { input, kernel, stride: conv.stride, padding: conv.padding };
            Plain::Linear(Linear::Conv2d {
                weight: tensors.wide(&conv.weight)?,
                channels: (outputs, inputs),
                axes: [axis(height, ky), axis(width, kx)],
                mode: conv.padding_mode,
            })
        }
        LayerSpec::AvgPool { size } => Plain::Linear(Linear::MeanPool { size: *size }),
        LayerSpec::GlobalAvgPool {} => {
            let (_, height, width) = channels(layer.input())?;
            Plain::Linear(Linear::GlobalMean { points: height * width })
        }
        LayerSpec::PadChannels { channels: after } => {
            Plain::Linear(Linear::PadChannels { added: after.checked_sub(channels(layer.input())?.0)? })
        }
        LayerSpec::SpaceToDepth { block } => Plain::Linear(Linear::SpaceToDepth { block: *block }),
    })
}
