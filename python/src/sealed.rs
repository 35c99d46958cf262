//! A sealed network, and what it certifies of samples.

use std::sync::Arc;

use dahlquist::{
    Sealed as SealedNetwork, Semantics,
    certificate::{Certificate, ClaimedSamples, Norm, Perturbation, file::CertificateFile},
    certify::{Effort, SampleCertificate, Sought},
    data::Dataset,
    model,
    scalar::Scalar,
    tensor::Batch,
};
use numpy::{PyArray1, PyArrayDyn};
use pyo3::prelude::*;

use crate::{
    errors::OrRaise,
    samples::{Samples, array, forward, sizes},
    task, with_format,
};

/// Numbers in double precision.
type Wide<'py> = Bound<'py, PyArrayDyn<f64>>;
/// Predictions, -1 for none, radii, proofs of local radii, and labels.
type Claims = (Vec<i64>, Vec<f64>, Vec<String>, Option<Vec<usize>>);

/// A sealed network of either format.
pub(crate) enum AnySealed {
    F32(SealedNetwork<f32>),
    F64(SealedNetwork<f64>),
}

/// A network whose claims are proved.
#[pyclass(frozen, module = "dahlquist._native")]
pub struct Sealed {
    pub(crate) file: Arc<model::Model>,
    pub(crate) sealed: Arc<AnySealed>,
}

#[pymethods]
impl Sealed {
    #[getter]
    fn lipschitz(&self) -> f64 {
        self.certificate().bound().get()
    }

    #[getter]
    fn features(&self) -> f64 {
        with_format!(AnySealed, &*self.sealed, sealed => sealed.features().get())
    }

    #[getter]
    fn is_proved(&self) -> bool {
        self.certificate().is_proved()
    }

    /// For each layer: its path, its kind, the rule, and its bound.
    fn layers(&self) -> Vec<(String, String, &'static str, f64)> {
        let kinds = self.file.map().layers().iter();
        let row = |(map, proof): (&model::Map, &Certificate)| {
            // That of one step says how a flow is proved.
            let rule = match (map, proof.premises()) {
                (model::Map::Flow(_), [step]) => step.rule(),
                _ => proof.rule(),
            };
            (proof.path().to_string(), map.kind().to_string(), rule.name(), proof.bound().get())
        };
        kinds.zip(self.certificate().layers()).map(row).collect()
    }

    /// The layers in a row that are proved as one map: the first, how many, the rule, and the bound.
    fn runs(&self) -> Vec<(String, usize, &'static str, f64)> {
        let runs = self.certificate().runs().into_iter();
        runs.map(|p| (p.path().to_string(), p.span(), p.rule().name(), p.bound().get())).collect()
    }

    /// The certificate file about the network alone.
    fn certificate_json(&self) -> PyResult<String> {
        text(&self.certificate_file())
    }

    /// Logits as executed in the order that the network is sealed for.
    fn predict<'py>(&self, py: Python<'py>, x: Samples<'py>) -> PyResult<Bound<'py, PyAny>> {
        let dataset = x.dataset(self.file.input(), None, 1)?;
        let sealed = Arc::clone(&self.sealed);
        enum Numbers {
            F32(Vec<f32>),
            F64(Vec<f64>),
        }
        let count = dataset.len();
        let numbers = task::run(py, None, move |progress| {
            let observe = |count| progress.add(count);
            Ok(match &*sealed {
                AnySealed::F32(s) => Numbers::F32(forward(s.network(), &dataset, &observe)?),
                AnySealed::F64(s) => Numbers::F64(forward(s.network(), &dataset, &observe)?),
            })
        })?;
        let shape = with_format!(AnySealed, &*self.sealed, sealed => sizes(count, sealed.network().output()));
        with_format!(Numbers, numbers, data => Ok(array(py, data, shape)?.into_any()))
    }

    /// Logits in double precision, and for each one how far from it that of a program may be.
    fn enclose<'py>(&self, py: Python<'py>, x: Samples<'py>) -> PyResult<(Wide<'py>, Wide<'py>)> {
        let dataset = x.dataset(self.file.input(), None, 1)?;
        let sealed = Arc::clone(&self.sealed);
        let (logits, bounds) = task::run(py, None, move |_| {
            let x = dataset.batch::<f64>(&(0..dataset.len()).collect::<Vec<_>>())?;
            with_format!(AnySealed, &*sealed, sealed => sealed.enclose(&x))
        })?;
        let wide = |x: Batch<f64>| array(py, x.data().to_vec(), sizes(x.samples(), x.shape()));
        Ok((wide(logits)?, wide(bounds)?))
    }

    /// The samples of a set of a size that are certified together, as ranges.
    fn pieces(&self, samples: usize) -> Vec<(usize, usize)> {
        let pieces = with_format!(AnySealed, &*self.sealed, sealed => sealed.pieces(samples));
        pieces.into_iter().map(|piece| (piece.start, piece.end)).collect()
    }

    /// The SHA-256 of samples and their labels.
    fn samples_sha256(&self, py: Python<'_>, x: Samples<'_>, labels: Option<Vec<i64>>) -> PyResult<String> {
        let classes = with_format!(AnySealed, &*self.sealed, sealed => sealed.network().output().len());
        let dataset = x.dataset(self.file.input(), labels, classes)?;
        Ok(py.detach(|| dataset.sha256()).or_raise()?.to_string())
    }

    /// The certificate file about the network and about samples with the hash and the claims that are given, which nothing
    /// proves here.
    fn certificate_of(&self, sha256: &str, meaning: Meaning, claims: Claims, eps: Vec<f64>) -> PyResult<String> {
        let hash = serde_json::from_value(serde_json::Value::from(sha256));
        let sha256 = hash.map_err(|e| pyo3::exceptions::PyValueError::new_err(e.to_string()))?;
        let (semantics, local, within) = read(meaning);
        let (predictions, radii, proofs, labels) = claims;
        let by = serde_json::from_value(serde_json::Value::from(proofs));
        let by = by.map_err(|e| pyo3::exceptions::PyValueError::new_err(e.to_string()))?;
        let samples = ClaimedSamples {
            sha256,
            semantics,
            local,
            within,
            predictions: predictions.into_iter().map(|class| usize::try_from(class).ok()).collect(),
            radii,
            by,
            labels,
            clean_accuracy: None,
            certified_accuracy: Vec::new(),
        };
        let mut file = self.certificate_file();
        file.samples = Some(samples.with_accuracies(&eps).or_raise()?);
        text(&file)
    }

    /// Certifies samples.
    #[pyo3(signature = (x, labels, meaning, report=None))]
    fn certify<'py>(
        &self,
        py: Python<'py>,
        x: Samples<'py>,
        labels: Option<Vec<i64>>,
        meaning: Meaning,
        report: Option<Bound<'py, PyAny>>,
    ) -> PyResult<Certified> {
        let classes = with_format!(AnySealed, &*self.sealed, sealed => sealed.network().output().len());
        let dataset = Arc::new(x.dataset(self.file.input(), labels, classes)?);
        let decide = meaning.4.clone();
        let effort = if meaning.5 { Effort::Quadratic } else { Effort::Linear };
        let meaning = read(meaning);
        let (sealed, samples) = (Arc::clone(&self.sealed), Arc::clone(&dataset));
        let claims = task::run(py, report, move |progress| {
            let observe = |count| progress.add(count);
            let (semantics, local, within) = meaning;
            let sought = match (local, &decide) {
                (_, Some(distances)) => Sought::At(&within, distances, effort),
                (true, None) => Sought::Largest(&within, effort),
                (false, None) => Sought::Global,
            };
            let meaning = (semantics, sought);
            with_format!(AnySealed, &*sealed, sealed => sealed.certify_part(&samples, 0..samples.len(), meaning, &observe))
        })?;
        Ok(Certified { about: self.certificate_file(), dataset, meaning, claims })
    }
}

impl Sealed {
    pub(crate) fn certificate(&self) -> &Certificate {
        with_format!(AnySealed, &*self.sealed, sealed => sealed.certificate())
    }

    fn certificate_file(&self) -> CertificateFile {
        let options = with_format!(AnySealed, &*self.sealed, sealed => sealed.options());
        CertificateFile::new(self.certificate(), &self.file, options.norm_proof, options.summation)
    }
}

/// What radii are about, from Python: whether the program, whether they are local, whether in the maximum norm, and the range
/// of inputs; the distances that are decided, if no larger ones are sought; and whether margins are bounded by quadratic functions.
type Meaning = (bool, bool, bool, Option<[f64; 2]>, Option<Vec<f64>>, bool);

fn read((executed, local, linf, range, ..): Meaning) -> (Semantics, bool, Perturbation) {
    let semantics = if executed { Semantics::Executed } else { Semantics::Exact };
    let within = Perturbation { norm: if linf { Norm::Linf } else { Norm::L2 }, range };
    (semantics, local || !within.is_plain(), within)
}

fn text(file: &CertificateFile) -> PyResult<String> {
    let bytes = file.bytes().or_raise()?;
    String::from_utf8(bytes).map_err(|e| pyo3::exceptions::PyValueError::new_err(e.to_string()))
}

/// What is claimed about samples.
#[pyclass(frozen, module = "dahlquist._native")]
pub struct Certified {
    about: CertificateFile,
    dataset: Arc<Dataset>,
    meaning: (Semantics, bool, Perturbation),
    claims: Vec<SampleCertificate>,
}

#[pymethods]
impl Certified {
    fn predictions<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyArrayDyn<i64>>> {
        let predictions: Vec<i64> =
            self.claims.iter().map(|claim| claim.prediction.map_or(-1, |class| class as i64)).collect();
        array(py, predictions, [self.claims.len()])
    }

    /// The radii, rounded down to `f32` as in certificates: they are confirmed on machines whose last bits differ.
    fn radii<'py>(&self, py: Python<'py>) -> Bound<'py, PyArray1<f64>> {
        let down = |claim: &SampleCertificate| f64::from(<f32 as Scalar>::round_down(claim.radius.get()));
        PyArray1::from_vec(py, self.claims.iter().map(down).collect())
    }

    /// Why a radius is 0, where it is.
    fn refusals(&self) -> Vec<Option<String>> {
        let name = |claim: &SampleCertificate| {
            claim.refusal.and_then(|refusal| serde_json::to_value(refusal).ok()?.as_str().map(String::from))
        };
        self.claims.iter().map(name).collect()
    }

    /// What proves each local radius; nothing for others.
    fn proofs(&self) -> Vec<String> {
        let name = |claim: &SampleCertificate| serde_json::to_value(claim.by).ok()?.as_str().map(String::from);
        if self.meaning.1 { self.claims.iter().filter_map(name).collect() } else { Vec::new() }
    }

    #[getter]
    fn in_unit_range(&self) -> bool {
        self.dataset.in_unit_range()
    }

    /// The certificate file about the network and the samples.
    fn certificate_json(&self, py: Python<'_>, eps: Vec<f64>) -> PyResult<String> {
        let file = py
            .detach(|| {
                let hash = self.dataset.sha256()?;
                let (semantics, local, within) = self.meaning;
                let labels = self.dataset.labels();
                let samples = ClaimedSamples::new(hash, (semantics, local), &self.claims, labels, &eps)?.within(within);
                let mut file = self.about.clone();
                file.samples = Some(samples);
                Ok(file)
            })
            .or_raise()?;
        text(&file)
    }
}
