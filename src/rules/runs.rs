//! Maps in a row that are proved as one: which of them make the bound of a chain smallest.

use super::{Numbers, Part, composition};
use crate::{
    certificate::{Certificate, Claims, Evidence, Rule},
    rigor::Upper,
};

/// Maps in a row that may be proved as one.
pub(super) struct Run {
    pub first: usize,
    pub count: usize,
    pub rule: Rule,
    pub claims: Claims,
    pub evidence: Evidence,
}

/// Returns the proof of a chain from those of its maps, with those runs that make its bound smallest, no two sharing a
/// map.
///
/// Margins are measured on the maps behind the `features`, so these keep a bound of their own: a run that goes on behind
/// them has the runs before it as premises.
pub(super) fn assemble(part: &Part<'_>, layers: Vec<Certificate>, runs: Vec<Run>, features: usize) -> Certificate {
    let maps = layers.len();
    // best[i] is the least bound of the first i maps, and the run that ends there, if one does.
    let mut best: Vec<(Upper, Option<&Run>)> = vec![(Upper::ONE, None)];
    let proved = |run: &Run| layers[run.first..][..run.count].iter().all(Certificate::is_proved);
    for i in 1..=features {
        let mut least = (best[i - 1].0 * layers[i - 1].bound(), None);
        for run in runs.iter().filter(|run| run.first + run.count == i && proved(run)) {
            let bound = best[run.first].0 * run.claims.bound;
            if bound < least.0 {
                least = (bound, Some(run));
            }
        }
        best.push(least);
    }
    let (mut chosen, mut i) = (Vec::new(), features);
    while i > 0 {
        i = best[i].1.map_or(i - 1, |run| {
            chosen.push(run);
            run.first
        });
    }
    let (mut premises, mut rest) = (Vec::new(), layers.into_iter());
    for run in chosen.into_iter().rev() {
        while premises.iter().map(Certificate::span).sum::<usize>() < run.first {
            premises.extend(rest.next());
        }
        let members: Vec<Certificate> = rest.by_ref().take(run.count).collect();
        let path = members.first().map_or(String::new(), |member| member.path.clone());
        let Run { rule, claims, evidence, .. } = run;
        let numbers: Vec<Numbers> = members.iter().map(|member| member.claims().numbers()).collect();
        let inverse = if *rule == Rule::OperatorNorm { composition::bound(&numbers).inverse } else { None };
        let (claims, evidence) = (Claims { inverse, ..*claims }, evidence.clone());
        premises.push(Certificate { path, span: run.count, rule: *rule, claims, evidence, premises: members });
    }
    premises.extend(rest);
    let proof = compose(part, premises);
    let to_the_end = runs.iter().filter(|run| run.first + run.count == maps && maps > features);
    let found: Vec<Certificate> = to_the_end.filter_map(|run| with_head(part, &proof, run)).collect();
    found.into_iter().fold(proof, |least, other| if other.bound() < least.bound() { other } else { least })
}

fn compose(part: &Part<'_>, premises: Vec<Certificate>) -> Certificate {
    let numbers: Vec<Numbers> = premises.iter().map(|premise| premise.claims().numbers()).collect();
    part.node(Rule::Composition, composition::bound(&numbers), premises)
}

/// Returns the proof with its last premises as those of a run to its end, where that begins with one of them.
fn with_head(part: &Part<'_>, proof: &Certificate, run: &Run) -> Option<Certificate> {
    let (mut at, mut split) = (0, 0);
    while split < proof.premises.len() && at < run.first {
        at += proof.premises[split].span;
        split += 1;
    }
    let (before, behind) = proof.premises.split_at(split);
    if at != run.first || !behind.iter().all(Certificate::is_proved) {
        return None;
    }
    let (path, mut premises, members) = (behind.first()?.path.clone(), before.to_vec(), behind.to_vec());
    let (rule, claims, evidence) = (run.rule, run.claims, run.evidence.clone());
    premises.push(Certificate { path, span: run.count, rule, claims, evidence, premises: members });
    Some(compose(part, premises))
}

/// Adds the runs below a proof, whose maps begin with the one numbered `at`.
pub(super) fn known_runs(proof: &Certificate, mut at: usize, runs: &mut Vec<Run>) {
    for part in proof.premises() {
        if part.span() > 1 {
            let (rule, claims, evidence) = (part.rule(), part.claims(), part.evidence().clone());
            runs.push(Run { first: at, count: part.span(), rule, claims, evidence });
            known_runs(part, at, runs);
        }
        at += part.span();
    }
}
