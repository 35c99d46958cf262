//! The independent checker: every claim of a certificate recomputed from the plain numbers of the model.
//!
//! It trusts nothing that it reads, and none of the code that issues certificates. What it rests on is
//!
//! - [`crate::rigor`], the trusted base,
//! - [`crate::integrate`], the radii and Shu–Osher forms of methods in exact arithmetic,
//! - [`crate::io`], the parsers of the two files,
//! - the rules, as they are written here once more: `operator.rs` the norms of linear maps, `flow.rs` what they imply
//!   for a step, `constraint.rs` what multipliers prove about a step, `groups.rs` layers that are certified as one map.
//!
//! `samples.rs` alone uses what issues certificates: predictions and radii are not proved but recomputed.
//!
//! **What is verified.** A norm is accepted if the checker proves one that is at most the claimed one, and what
//! multipliers are said to prove if they prove it again; everything else — slopes, curvatures, steps, factors, products
//! — is then recomputed *from the claimed numbers*, in outward arithmetic that gives the same bits on every machine. So
//! a certificate that was issued elsewhere is accepted, and a changed number is refused or leaves the claim true.

mod constraint;
mod flow;
mod groups;
mod operator;
mod samples;

use crate::{
    activation::Activation,
    certificate::{Basis, Certificate, Entry, Group, Rule, Witness},
    error::{Error, Result},
    io::{Claimed, ClaimedGroup, ClaimedLayer, ClaimedWitness, Digest, LayerSpec, ModelFile, OperatorSpec},
    operator::{KERNELS, NormMethod},
    rigor::{
        Summation, Upper,
        directed::{div_up, sub_up},
    },
    tensor::Shape,
};
use operator::Linear;
pub use samples::check_samples;

/// What became of one claim.
#[derive(Debug, Clone, PartialEq)]
pub enum Verdict {
    /// It is proved.
    Proved,
    /// The code that issues certificates computes the same once more: less than a proof, since a fault of that code would
    /// be repeated.
    Recomputed,
    /// Only its author vouches for it.
    Asserted,
    /// It was not looked at, for this reason.
    Unchecked(String),
    /// It is not proved, for this reason.
    Failed(String),
}

/// One claim and what became of it.
#[derive(Debug, Clone, PartialEq)]
pub struct Finding {
    /// The part of the certificate that makes the claim.
    pub part: String,
    /// The claim in words.
    pub claim: String,
    /// What became of it.
    pub verdict: Verdict,
}

/// Every claim of a certificate with what became of it.
#[derive(Debug, Clone, PartialEq)]
pub struct Report {
    /// One line for each claim.
    pub findings: Vec<Finding>,
    /// The claims about the network, if all of them are proved and no other is seen to be false. Claims about samples are
    /// not among them: [`check_samples`].
    pub verified: Option<Verified>,
}

/// Claims about a model file that this checker has proved. Nothing else makes one.
#[derive(Debug, Clone, PartialEq)]
pub struct Verified {
    certificate: Certificate,
    model: Digest,
}

impl Verified {
    /// The claims.
    pub fn certificate(&self) -> &Certificate {
        &self.certificate
    }

    /// The SHA-256 of the model that they are about.
    pub fn model(&self) -> Digest {
        self.model
    }
}

impl Report {
    fn add(&mut self, part: impl Into<String>, claim: impl Into<String>, outcome: Result<()>) {
        let verdict = outcome.map_or_else(|e| Verdict::Failed(e.to_string()), |()| Verdict::Proved);
        self.findings.push(Finding { part: part.into(), claim: claim.into(), verdict });
    }

    /// Whether a claim failed.
    pub fn failed(&self) -> bool {
        self.findings.iter().any(|f| matches!(f.verdict, Verdict::Failed(_)))
    }
}

/// Checks every claim of a certificate about a model.
///
/// ```no_run
/// use dahlquist::{check::check, io::{Claimed, ModelFile}};
/// let report = check(&Claimed::read("certificate.json")?, &ModelFile::read("model.safetensors")?);
/// let verified = report.verified.expect("every claim is proved");
/// println!("‖f(x) − f(x')‖ ≤ {} ‖x − x'‖", verified.certificate().lipschitz);
/// # Ok::<(), dahlquist::Error>(())
/// ```
pub fn check(claimed: &Claimed, model: &ModelFile) -> Report {
    let mut report = Report { findings: Vec::new(), verified: None };
    let (spec, hash) = (model.spec(), model.sha256());
    report.add("model", format!("SHA-256 {}", claimed.model), equal("the model file has SHA-256", claimed.model, hash));
    let scalar = equal("the tensors of the model are", claimed.scalar.as_str(), model.scalar());
    report.add("scalar", format!("weights in {}", claimed.scalar), scalar);
    report.add("kernels", kernels(claimed), of_these_kernels(claimed));
    report.add("input", format!("shape {}", claimed.input), equal("the model has shape", claimed.input, spec.input));
    let count = equal("the model has", claimed.layers.len(), spec.layers.len());
    report.add("layers", format!("{} layers", claimed.layers.len()), count);

    // The shapes before each layer and after the last; none behind one that does not fit.
    let mut shapes = vec![Some(spec.input)];
    for (i, (layer, spec)) in claimed.layers.iter().zip(&spec.layers).enumerate() {
        let claim = format!("{}, {}: Lipschitz bound {}{}", layer.kind, layer.rule, layer.bound, averaged(layer));
        // A layer whose input is not known cannot be checked.
        let unknown = || Error::format("the layers before it do not fit together");
        let checked = shapes[i].ok_or_else(unknown).and_then(|input| Checked { layer, model, input }.run(i, spec));
        shapes.push(checked.as_ref().ok().map(|(output, _)| *output));
        let outcome = checked.and_then(|(_, claim)| claim);
        if layer.rule == Basis::Asserted && outcome.is_ok() {
            report.findings.push(Finding { part: format!("layer {i}"), claim, verdict: Verdict::Asserted });
        } else {
            report.add(format!("layer {i}"), claim, outcome);
        }
    }

    let head = usize::from(spec.layers.last().is_some_and(is_affine));
    let groups = groups::check(&claimed.groups, (model, &shapes), spec.layers.len() - head, &mut report);
    let before = &claimed.layers[..claimed.layers.len().saturating_sub(head)];
    let products = [("features", claimed.features, before), ("network", claimed.lipschitz, &claimed.layers[..])];
    for (part, bound, layers) in products {
        let product = groups::product(layers, &groups);
        report.add(
            part,
            format!("Lipschitz constant {bound}"),
            at_least("the product of the groups and layers is", bound, product),
        );
    }

    let proved = report.findings.iter().all(|f| f.verdict == Verdict::Proved);
    if let Some(samples) = &claimed.samples {
        report.findings.push(samples::unchecked(samples, shapes.last().copied().flatten()));
    }
    if proved && !report.failed() {
        report.verified = Some(Verified { certificate: certificate(claimed), model: hash });
    }
    report
}

fn kernels(claimed: &Claimed) -> String {
    let order = match claimed.summation {
        Summation::Any => "sums in any order",
        Summation::Declared => "sums in the declared order",
    };
    format!("{order}, by kernels of version {} of {}", claimed.kernels, claimed.program)
}

/// A declared order of summation is one of the kernels that declared it; any order is one of all.
fn of_these_kernels(claimed: &Claimed) -> Result<()> {
    let reason = || {
        let made = claimed.kernels;
        format!("the declared order of summation is that of version {made}; this program has version {KERNELS}")
    };
    require(claimed.summation == Summation::Any || claimed.kernels == KERNELS, &reason())
}

fn averaged(layer: &ClaimedLayer) -> String {
    layer.averaged.map_or(String::new(), |a| format!(", averaged {a}"))
}

/// The claim about one layer, and where it is.
struct Checked<'a> {
    layer: &'a ClaimedLayer,
    model: &'a ModelFile,
    input: Shape,
}

/// The shape of the output of a layer that fits, and what became of the claim about it.
type Outcome = Result<(Shape, Result<()>)>;

impl Checked<'_> {
    /// Checks the claim. An asserted bound is only checked for what it is about.
    fn run(&self, index: usize, spec: &LayerSpec) -> Outcome {
        let (output, claim) = match spec {
            LayerSpec::Normalize { mean, std } => self.normalize(mean, std)?,
            LayerSpec::Dense(_) | LayerSpec::Conv2d(_) | LayerSpec::AvgPool { .. } | LayerSpec::GlobalAvgPool {} => {
                self.affine(&linear(spec)?)?
            }
            LayerSpec::Flatten {} => self.isometry(Shape::Features(self.input.len())),
            LayerSpec::PadChannels { channels } => {
                let (present, height, width) = self.input.as_image("padding of channels")?;
                require(*channels >= present, "the input has more channels than the output")?;
                self.isometry(Shape::try_from(vec![*channels, height, width])?)
            }
            LayerSpec::SpaceToDepth { block } => {
                let (channels, height, width) = self.input.as_image("space to depth")?;
                let fits = *block > 0 && height % block == 0 && width % block == 0;
                require(fits, "the block does not divide the image")?;
                self.isometry(Shape::try_from(vec![channels * block * block, height / block, width / block])?)
            }
            LayerSpec::Activation(function) => {
                (self.input, slopes(*function, self.model).and_then(|slopes| self.activation(slopes)))
            }
            LayerSpec::Flow(spec) => (self.input, flow::check(self, spec)),
        };
        let about = || {
            equal("the position of the layer is", self.layer.path.as_str(), &index.to_string())?;
            equal("the layer is of kind", self.layer.kind.as_str(), kind(spec))?;
            require(self.layer.bound >= 0.0, "a Lipschitz bound is not negative")
        };
        // A shape is refused if it is of so many numbers that their count might overflow.
        Ok((Shape::try_from(Vec::from(output))?, about().and(claim)))
    }

    /// Whether the layer's rule is the one that is needed; nothing to prove for an asserted bound.
    fn by(&self, rule: Rule) -> Result<bool> {
        match self.layer.rule {
            Basis::Asserted => Ok(false),
            Basis::Proved(found) if found == rule => Ok(true),
            Basis::Proved(found) => Err(Error::format(format!("the rule {found} does not apply to this layer"))),
        }
    }

    fn not_averaged(&self) -> Result<()> {
        require(self.layer.averaged.is_none(), "no rule says that this layer is averaged")
    }

    fn method(&self) -> Result<NormMethod> {
        match self.layer.witness {
            Some(ClaimedWitness::Norm { method }) => Ok(method),
            _ => Err(Error::format("the witness is not one of a norm")),
        }
    }

    fn normalize(&self, mean: &[f64], std: &[f64]) -> Outcome {
        let units = match self.input {
            Shape::Features(n) => n,
            Shape::Image { channels, .. } => channels,
        };
        require(mean.len() == units && std.len() == units, "there is not one mean and deviation for each channel")?;
        let stored = |x: &f64| stored(self.model, *x);
        require(mean.iter().chain(std).all(|x| stored(x).is_finite()), "a mean or deviation is not finite")?;
        let smallest = std.iter().map(stored).fold(f64::INFINITY, f64::min);
        let claim = || {
            equal("the norm is proved by", self.method()?, NormMethod::ClosedForm)?;
            // Infinite for a deviation that is not positive.
            at_least("the norm is proved to be at most", self.layer.bound, Upper::proved(div_up(1.0, smallest)))
        };
        Ok((self.input, self.linear(Rule::OperatorNorm, claim)))
    }

    fn affine(&self, spec: &OperatorSpec) -> Outcome {
        let map = Linear::read(self.model, spec, self.input)?;
        let claim = || map.norm_is(self.layer.bound, Some(self.method()?));
        Ok((map.output(), self.linear(Rule::OperatorNorm, claim)))
    }

    fn isometry(&self, output: Shape) -> (Shape, Result<()>) {
        let claim = || {
            require(self.layer.witness.is_none(), "an isometry has no witness")?;
            at_least("an isometry has the constant", self.layer.bound, Upper::ONE)
        };
        (output, self.linear(Rule::Isometry, claim))
    }

    /// The claim about a layer that is linear by a rule.
    fn linear(&self, rule: Rule, claim: impl Fn() -> Result<()>) -> Result<()> {
        if !self.by(rule)? {
            return Ok(());
        }
        self.not_averaged()?;
        claim()
    }

    fn activation(&self, [m, l]: [f64; 2]) -> Result<()> {
        if self.by(Rule::Slope)? {
            match self.layer.witness {
                Some(ClaimedWitness::Slopes { interval }) => {
                    require(interval == [m, l], &format!("the slopes are in [{m}, {l}]"))?;
                }
                _ => return Err(Error::format("the witness is not one of slopes")),
            }
            at_least("the largest slope is", self.layer.bound, Upper::proved(m.abs().max(l.abs())))?;
            if let Some(averaged) = self.layer.averaged {
                require(-1.0 < m && l <= 1.0, "slopes outside (−1, 1] do not make an averaged function")?;
                averaged_at_least(averaged, div_up(sub_up(1.0, m), 2.0))?;
            }
        }
        Ok(())
    }
}

/// A constant of an architecture as it is stored in a network of this format.
fn stored(model: &ModelFile, x: f64) -> f64 {
    if model.scalar() == "f32" { f64::from(x as f32) } else { x }
}

/// The exact interval of the slopes of a function, its constants as they are stored in a network of this format.
fn slopes(function: Activation, model: &ModelFile) -> Result<[f64; 2]> {
    Ok(match function {
        Activation::Identity {} => [1.0, 1.0],
        Activation::Relu {} | Activation::Tanh {} | Activation::Softplus {} => [0.0, 1.0],
        Activation::Abs {} => [-1.0, 1.0],
        Activation::Sigmoid {} => [0.0, 0.25],
        Activation::LeakyRelu { slope } => {
            let stored = stored(model, slope);
            require(slope >= 0.0 && stored.is_finite(), "the slope of a leaky ReLU is negative or not finite")?;
            [stored.min(1.0), stored.max(1.0)]
        }
    })
}

/// The name of a kind of layer in certificates.
fn kind(spec: &LayerSpec) -> &'static str {
    match spec {
        LayerSpec::Normalize { .. } => "normalize",
        LayerSpec::Dense(_) => "dense",
        LayerSpec::Conv2d(_) => "conv2d",
        LayerSpec::AvgPool { .. } => "avg_pool",
        LayerSpec::GlobalAvgPool {} => "global_avg_pool",
        LayerSpec::Flatten {} => "flatten",
        LayerSpec::PadChannels { .. } => "pad_channels",
        LayerSpec::SpaceToDepth { .. } => "space_to_depth",
        LayerSpec::Activation(_) => "activation",
        LayerSpec::Flow(_) => "flow",
    }
}

/// Whether margins are measured on a last layer of this kind, which is then not one of the features.
fn is_affine(spec: &LayerSpec) -> bool {
    linear(spec).is_ok()
}

fn linear(spec: &LayerSpec) -> Result<OperatorSpec> {
    match spec {
        LayerSpec::Dense(spec) => Ok(OperatorSpec::Dense(spec.clone())),
        LayerSpec::Conv2d(spec) => Ok(OperatorSpec::Conv2d(spec.clone())),
        LayerSpec::AvgPool { size } => Ok(OperatorSpec::AvgPool { size: *size }),
        LayerSpec::GlobalAvgPool {} => Ok(OperatorSpec::GlobalAvgPool {}),
        LayerSpec::Normalize { .. }
        | LayerSpec::Flatten {}
        | LayerSpec::PadChannels { .. }
        | LayerSpec::SpaceToDepth { .. }
        | LayerSpec::Activation(_)
        | LayerSpec::Flow(_) => Err(Error::format(format!("a layer of kind {} is no operator", kind(spec)))),
    }
}

/// The claims as bounds: only of a certificate whose claims are all proved.
fn certificate(claimed: &Claimed) -> Certificate {
    let witness = |witness: &ClaimedWitness| match witness.clone() {
        ClaimedWitness::Norm { method } => Witness::Norm { method },
        ClaimedWitness::Slopes { interval } => Witness::Slopes { interval },
        ClaimedWitness::Flow { method, step, steps, factor, radius, cocoercivity, field } => {
            Witness::Flow { method, step, steps, factor: Upper::proved(factor), radius, cocoercivity, field }
        }
        ClaimedWitness::QuadraticConstraint { step, steps, factor, multipliers } => {
            Witness::QuadraticConstraint { step, steps, factor: Upper::proved(factor), multipliers }
        }
    };
    let entry = |layer: &ClaimedLayer| Entry {
        kind: layer.kind.clone(),
        basis: layer.rule,
        lipschitz: Upper::proved(layer.bound),
        averaged: layer.averaged.map(Upper::proved),
        witness: layer.witness.as_ref().map(witness),
    };
    let group = |group: &ClaimedGroup| {
        let ClaimedGroup { first, count, rule, bound, multipliers } = group.clone();
        Group { first, count, rule, lipschitz: Upper::proved(bound), multipliers }
    };
    Certificate {
        input: claimed.input,
        norms: claimed.norms,
        summation: claimed.summation,
        layers: claimed.layers.iter().map(entry).collect(),
        groups: claimed.groups.iter().map(group).collect(),
        lipschitz: Upper::proved(claimed.lipschitz),
        features: Upper::proved(claimed.features),
    }
}

fn require(holds: bool, otherwise: &str) -> Result<()> {
    if holds { Ok(()) } else { Err(Error::format(otherwise)) }
}

fn equal<T: PartialEq + std::fmt::Debug>(truth: &str, claimed: T, found: T) -> Result<()> {
    if claimed == found { Ok(()) } else { Err(Error::format(format!("{truth} {found:?}, not {claimed:?}"))) }
}

/// An upper bound is accepted if it is not below one that is proved here. A NaN is below everything.
fn at_least(truth: &str, claimed: f64, proved: Upper) -> Result<()> {
    require(claimed >= proved.get(), &format!("{truth} {proved}, which is more than the claimed {claimed}"))
}

/// A lower bound is accepted if it is not above one that is proved here.
fn at_most(truth: &str, claimed: f64, proved: f64) -> Result<()> {
    require(claimed <= proved, &format!("{truth} {proved}, which is less than the claimed {claimed}"))
}

fn averaged_at_least(claimed: f64, proved: f64) -> Result<()> {
    require(claimed < 1.0, "an averaged function has a constant below 1")?;
    at_least("it is averaged with the constant", claimed, Upper::proved(proved))
}
