//! Models with samples, and every certificate that the crate issues about them.

use dahlquist::{
    Network, Result, Semantics,
    certificate::{Certificate, ClaimedSamples, NormProof, file::CertificateFile},
    certify::{SampleCertificate, SealOptions, Summation},
    data::Dataset,
    model::Model,
    network::AnyNetwork,
    scalar::Scalar,
    tensor::{Batch, Shape},
};
use dahlquist_testkit::{
    forgery::issued,
    known::{self, Truth},
    models::{dense_f32, dense_stack, every_layer, every_layer_f64, model_bytes, runs},
};
use serde_json::Value;

/// The distances that accuracies are claimed at.
pub const EPS: [f64; 3] = [0.0, 0.01, 0.25];

/// Samples as numbers, so that they can be changed.
#[derive(Clone, PartialEq)]
pub struct Samples {
    pub shape: Shape,
    pub x: Vec<f64>,
    /// Whether the file has them in `f32`.
    pub single: bool,
    pub labels: Vec<usize>,
    pub classes: usize,
}

impl Samples {
    /// Numbers in `[0, 1]` that no two samples share.
    fn new(shape: Shape, count: usize, classes: usize, single: bool) -> Self {
        let number = |i: usize| {
            let x = ((i * 37 + i / 11) % 101) as f64 / 101.0;
            if single { f64::from(x as f32) } else { x }
        };
        let x = (0..shape.len() * count).map(number).collect();
        Self { shape, x, single, labels: (0..count).map(|i| i % classes).collect(), classes }
    }

    /// What a reader makes of them, or a refusal.
    pub fn dataset(&self) -> Result<Dataset> {
        let names = (0..self.classes).map(|class| class.to_string()).collect();
        if self.single {
            let x = self.x.iter().map(|&x| x as f32).collect();
            Dataset::from_samples(&Batch::new(self.shape, x)?, self.labels.clone(), names)
        } else {
            Dataset::from_samples(&Batch::new(self.shape, self.x.clone())?, self.labels.clone(), names)
        }
    }

    /// The numbers of a sample, as the file has them.
    pub fn sample(&self, s: usize) -> Vec<f64> {
        let x = &self.x[s * self.shape.len()..][..self.shape.len()];
        x.iter().map(|&x| if self.single { f64::from(x as f32) } else { x }).collect()
    }
}

/// A model, its samples, and what is issued about them.
pub struct Subject {
    pub name: String,
    pub bytes: Vec<u8>,
    pub samples: Samples,
    /// What is true of the model, if that is known.
    pub truth: Option<Truth>,
    /// A certificate for each way to certify.
    pub issued: Vec<Value>,
    /// Witnesses, if the verified checker knows the model: whether it does.
    pub witnessed: bool,
}

/// What is claimed of samples.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Way {
    pub semantics: Semantics,
    pub local: bool,
    pub summation: Summation,
}

impl Way {
    /// Every way to certify samples.
    pub fn all() -> impl Iterator<Item = Self> {
        let ways = |(semantics, local)| {
            [Summation::Any, Summation::Declared].map(|summation| Self { semantics, local, summation })
        };
        [Semantics::Exact, Semantics::Executed].into_iter().flat_map(|s| [(s, false), (s, true)]).flat_map(ways)
    }
}

/// How a model is sealed.
#[derive(Debug, Clone, Copy)]
pub struct Sealing {
    pub norms: NormProof,
    pub neurons: usize,
}

/// Seals a model in one way and certifies samples in another, as issuing does.
pub fn certify(
    model: &Model,
    data: &Dataset,
    sealing: Sealing,
    way: Way,
) -> Result<(Certificate, Vec<SampleCertificate>)> {
    fn go<T: Scalar>(
        network: Network<T>,
        data: &Dataset,
        Sealing { norms, neurons }: Sealing,
        Way { semantics, local, summation }: Way,
    ) -> Result<(Certificate, Vec<SampleCertificate>)> {
        let sealed = network.seal_with(SealOptions { summation, norm_proof: norms })?.tighten(neurons)?;
        let certified = sealed.certify_dataset(data, (semantics, local), &|_| {})?;
        Ok((sealed.certificate().clone(), certified))
    }
    match model.network()? {
        AnyNetwork::F32(network) => go(network, data, sealing, way),
        AnyNetwork::F64(network) => go(network, data, sealing, way),
    }
}

impl Subject {
    fn new(
        name: &str,
        bytes: Vec<u8>,
        count: usize,
        single: bool,
        neurons: usize,
        truth: Option<Truth>,
    ) -> Result<Self> {
        let model = Model::parse(&bytes)?;
        let classes = model.map().output(model.input())?.len();
        let samples = Samples::new(model.input(), count, classes, single);
        let (data, norms) = (samples.dataset()?, NormProof::Torus);
        let issue = |way: Way| {
            let (certificate, certified) = certify(&model, &data, Sealing { norms, neurons }, way)?;
            let mut claimed = CertificateFile::new(&certificate, &model, norms, way.summation);
            let how = (way.semantics, way.local);
            claimed.samples = Some(ClaimedSamples::new(data.sha256()?, how, &certified, data.labels(), &EPS)?);
            Ok(issued(&claimed))
        };
        let issued = Way::all().map(issue).collect::<Result<_>>()?;
        let layers = model.map().layers().len();
        let witnessed = dahlquist::witness::Witness::new(&model, 0..layers, true).is_ok();
        Ok(Self { name: name.into(), bytes, samples, truth, issued, witnessed })
    }

    /// Networks of every kind, in both formats, with samples in both.
    pub fn all() -> Result<Vec<Self>> {
        let mut all = vec![
            Self::new("every layer, f32", model_bytes(&every_layer()), 4, true, 0, None)?,
            Self::new("every layer, f64", model_bytes(&every_layer_f64()), 4, false, 0, None)?,
            Self::new("runs, f32", model_bytes(&runs::<f32>(1)), 5, false, 64, None)?,
            Self::new("runs, f64", model_bytes(&runs::<f64>(2)), 5, true, 64, None)?,
            Self::new("dense, f32", model_bytes(&dense_stack()), 8, true, 0, None)?,
            Self::new("dense, f32, samples in f64", model_bytes(&dense_stack()), 8, false, 64, None)?,
        ];
        let weight: Vec<f32> = (0..3 * 6).map(|i| ((i * 37 % 101) as f32 - 50.0) / 97.0).collect();
        let sharp = model_bytes(&dense_f32(3, 6, weight));
        all.push(Self::new("linear, f32, samples in f64", sharp, 8, false, 0, None)?);
        let (network, truth) = known::flows::<f32>();
        all.push(Self::new("known flows, f32", model_bytes(&network), 6, true, 0, Some(truth))?);
        let (network, truth) = known::flows::<f64>();
        all.push(Self::new("known flows, f64", model_bytes(&network), 6, false, 64, Some(truth))?);
        let (network, truth) = known::groups::<f32>();
        all.push(Self::new("known runs, f32", model_bytes(&network), 5, false, 64, Some(truth))?);
        let (network, truth) = known::groups::<f64>();
        all.push(Self::new("known runs, f64", model_bytes(&network), 5, true, 0, Some(truth))?);
        Ok(all)
    }
}
