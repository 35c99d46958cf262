//! The figures, as a table on the screen, as JSON and as CSV.

use dahlquist::{
    Error, Result, Sealed, attack::RobustAccuracy, certificate::Certificate, certify::SampleCertificate, io, model::Map,
};
use serde::Serialize;

use crate::options::Options;

/// The radii of the table: ℓ2, in units of pixels in `[0, 1]`.
pub const EPS: [f64; 6] = [0.0, 36.0 / 255.0, 72.0 / 255.0, 108.0 / 255.0, 0.5, 1.0];

/// What was found out about one network.
#[derive(Debug, Serialize)]
pub struct Evaluation {
    #[serde(skip)]
    pub name: &'static str,
    /// The fraction of images that are classified as their labels, as executed in `f32`.
    pub clean: f64,
    /// The number of parameters.
    parameters: usize,
    /// The proved Lipschitz bound of the features.
    lipschitz: f64,
    /// The area under the certified curve, `∫ certified(ε) dε`, in exact semantics: every image adds its radius, or 0 if its class
    /// is not its label.
    certified_area: f64,
    /// The rows of the table.
    pub by_eps: Vec<Row>,
    /// Certified images, as pairs with `eps`, for which the attack found a counterexample. Must be 0.
    #[serde(skip)]
    broken: usize,
    /// The certified radii of the images that are classified as their labels, ascending.
    #[serde(skip)]
    pub radii: Vec<f64>,
}

/// One row: accuracies as fractions of the test images.
#[derive(Debug, Serialize)]
pub struct Row {
    pub eps: f64,
    /// Under attack: an upper bound of the robust accuracy.
    pub pgd: f64,
    /// Proved, in exact semantics: a lower bound of the robust accuracy.
    pub certified: f64,
    /// Proved for the network as it runs in `f32`, sums in the order that the kernels declare.
    certified_executed: f64,
}

impl Evaluation {
    /// Gathers the results of certificates and attack, image by image.
    pub fn new(
        (name, parameters): (&'static str, usize),
        sealed: &Sealed<f32>,
        labels: &[usize],
        exact: &[SampleCertificate],
        executed: &[SampleCertificate],
        found: &RobustAccuracy<f32>,
    ) -> Self {
        let count = labels.len() as f64;
        let holds = |c: &SampleCertificate, label: usize, eps: f64| c.prediction == Some(label) && c.holds_at(eps);
        let certified = |certificates: &[SampleCertificate], eps: f64| {
            certificates.iter().zip(labels).filter(|(c, label)| holds(c, **label, eps)).count() as f64 / count
        };
        let accuracy = found.accuracy();
        let row = |(i, &eps): (usize, &f64)| Row {
            eps,
            pgd: if i == 0 { found.clean() } else { accuracy[i - 1] },
            certified: certified(exact, eps),
            certified_executed: certified(executed, eps),
        };
        let broken = |eps: f64| {
            let hit = |s: usize| found.broken()[s].as_ref().is_some_and(|broken| broken.distance <= eps);
            (0..labels.len()).filter(|&s| holds(&exact[s], labels[s], eps) && hit(s)).count()
        };
        let correct = exact.iter().zip(labels).filter(|(c, label)| c.prediction == Some(**label));
        let mut radii: Vec<f64> = correct.map(|(c, _)| c.radius.get()).collect();
        radii.sort_by(f64::total_cmp);
        Self {
            name,
            clean: found.clean(),
            parameters,
            lipschitz: sealed.features().get(),
            certified_area: radii.iter().sum::<f64>() / count,
            by_eps: EPS.iter().enumerate().map(row).collect(),
            broken: EPS.iter().map(|&eps| broken(eps)).sum(),
            radii,
        }
    }
}

/// The whole run.
#[derive(Debug, Serialize)]
pub struct Report {
    data: &'static str,
    seed: u64,
    train_images: usize,
    test_images: usize,
    pub networks: std::collections::BTreeMap<&'static str, Evaluation>,
    certified_but_broken: usize,
    seconds: f64,
}

impl Report {
    pub fn new(options: &Options, train_images: usize, test_images: usize, all: Vec<Evaluation>, seconds: f64) -> Self {
        Self {
            data: options.data_name(),
            seed: options.seed,
            train_images,
            test_images,
            certified_but_broken: all.iter().map(|e| e.broken).sum(),
            networks: all.into_iter().map(|e| (e.name, e)).collect(),
            seconds,
        }
    }

    /// Whether `certified ≤ PGD ≤ clean` in every row, and no certified image was broken.
    pub fn is_consistent(&self) -> bool {
        let rows = self.networks.values().flat_map(|e| e.by_eps.iter().map(move |row| (row, e.clean)));
        self.certified_but_broken == 0
            && rows.into_iter().all(|(row, clean)| row.certified <= row.pgd && row.pgd <= clean)
    }

    /// The number of test images.
    pub fn test_images(&self) -> usize {
        self.test_images
    }

    pub fn print(&self) {
        let (stable, plain) = (&self.networks["stable"], &self.networks["plain"]);
        println!("\n{:>8} │{:^27}│{:^27}", "", "stable", "plain");
        println!(
            "{:>8} │{:>8} {:>8} {:>9}│{:>8} {:>8} {:>9}",
            "ε (ℓ2)", "clean", "PGD", "certified", "clean", "PGD", "certified"
        );
        println!("─────────┼{0}┼{0}", "─".repeat(27));
        for (s, p) in stable.by_eps.iter().zip(&plain.by_eps) {
            let percent = |x: f64| format!("{:.1}", 100.0 * x);
            println!(
                "{:>8.4} │{:>8} {:>8} {:>9}│{:>8} {:>8} {:>9}",
                s.eps,
                percent(stable.clean),
                percent(s.pgd),
                percent(s.certified),
                percent(plain.clean),
                percent(p.pgd),
                percent(p.certified)
            );
        }
        let gain = |(s, p): (&Row, &Row)| (100.0 * (s.pgd - p.pgd), s.eps);
        if let Some((gain, eps)) = stable.by_eps.iter().zip(&plain.by_eps).map(gain).max_by(|a, b| a.0.total_cmp(&b.0))
        {
            println!("\nUnder PGD the stable network is ahead by up to {gain:.1} points, at ε = {eps:.4}.");
        }
        let kept = |row: &Row| format!("{:.1} at {:.4}", 100.0 * row.certified_executed, row.eps);
        let kept: Vec<String> = stable.by_eps[1..].iter().map(kept).collect();
        println!("As executed in f32, rounding included, the stable network is certified for {}.", kept.join(", "));
        println!(
            "Area under the certified curve: {:.4} stable, {:.4} plain.",
            stable.certified_area, plain.certified_area
        );
        println!(
            "Certified images that the attack broke: {}. {:.0} s in all.",
            self.certified_but_broken, self.seconds
        );
    }

    /// Writes the table as JSON and CSV.
    pub fn write(&self, options: &Options) -> Result<()> {
        let json = options.json.clone().unwrap_or_else(|| options.out.join("table.json"));
        let text = serde_json::to_string_pretty(self).map_err(|e| Error::file(&json, e))?;
        io::write(&json, text.as_bytes())?;
        let path = options.out.join("table.csv");
        io::write(&path, &self.csv().map_err(|e| Error::file(&path, e))?)
    }

    fn csv(&self) -> std::result::Result<Vec<u8>, Box<dyn std::error::Error>> {
        let mut csv = csv::Writer::from_writer(Vec::new());
        csv.write_record(["network", "eps", "clean", "pgd", "certified", "certified_executed"])?;
        for (name, evaluation) in &self.networks {
            for row in &evaluation.by_eps {
                let figures = [row.eps, evaluation.clean, row.pgd, row.certified, row.certified_executed];
                csv.write_record(std::iter::once((*name).to_string()).chain(figures.map(|x| x.to_string())))?;
            }
        }
        Ok(csv.into_inner()?)
    }
}

/// The claim of every layer.
pub fn print_certificate(sealed: &Sealed<f32>) {
    println!("\n{:>5} {:14} {:22} {:>12} {:>10}   numbers behind it", "layer", "kind", "rule", "Lipschitz", "averaged");
    for (map, proof) in sealed.map().layers().iter().zip(sealed.certificate().layers()) {
        let averaged = proof.claims().averaged.map_or("–".into(), |a| format!("1 − {:.1e}", 1.0 - a.get()));
        let (rule, numbers) = match (map, proof.premises()) {
            (Map::Flow(flow), [step, ..]) => {
                (step.rule(), format!("{}, h = {:.6}{}", flow.method, flow.step, field(step)))
            }
            (Map::Activation(function), _) => (proof.rule(), format!("slopes in {:?}", function.slopes())),
            _ => (proof.rule(), String::new()),
        };
        let (path, kind, bound) = (proof.path(), map.kind(), proof.bound().get());
        println!("{path:>5} {kind:14} {rule:22} {bound:>12.9} {averaged:>10}   {numbers}");
    }
    println!("features: Lipschitz ≤ {}\n", sealed.features());
}

/// What the proof of a step says about its field.
fn field(step: &Certificate) -> String {
    let Some(field) = step.premises().first() else { return String::new() };
    let norm = field.premises().first().map_or(f64::NAN, |operator| operator.bound().get());
    let nu = field.claims().cocoercivity.map_or(String::new(), |nu| format!(", ν ≥ {:.6}", nu.get()));
    format!(", ‖W‖ ≤ {norm:.6}{nu}")
}
