//! The certified accuracy against the distance, as SVG.

use std::fmt::Write;

use dahlquist::certificate::Norm;

use super::input;

const SIZE: (f64, f64) = (640.0, 400.0);
/// The space around the axes: left, right, top, bottom.
const SPACE: [f64; 4] = [64.0, 24.0, 40.0, 56.0];
/// About the number of intervals of an axis.
const TICKS: f64 = 5.0;

/// Draws a step function, given by its value below each distance in ascending order, and points on it.
pub(super) fn certified_accuracy(steps: &[(f64, f64)], points: &[(f64, f64)], norm: Norm) -> String {
    let last = steps.iter().chain(points).map(|(eps, _)| *eps).fold(0.0, f64::max);
    let unit = unit(if last > 0.0 { last } else { 1.0 });
    let end = unit * (last / unit).ceil().max(1.0);
    let x = |eps: f64| SPACE[0] + eps / end * (SIZE.0 - SPACE[0] - SPACE[1]);
    let y = |accuracy: f64| SIZE.1 - SPACE[3] - accuracy * (SIZE.1 - SPACE[2] - SPACE[3]);

    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {w} {h}\" width=\"{w}\" height=\"{h}\" \
         font-family=\"sans-serif\" font-size=\"12\">\n<rect width=\"100%\" height=\"100%\" fill=\"white\"/>\n",
        w = SIZE.0,
        h = SIZE.1
    );
    let text = |at: (f64, f64), anchor: &str, words: &str| {
        format!("<text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"{anchor}\">{words}</text>\n", at.0, at.1)
    };
    let line = |from: (f64, f64), to: (f64, f64), color: &str| {
        format!(
            "<line x1=\"{:.1}\" y1=\"{:.1}\" x2=\"{:.1}\" y2=\"{:.1}\" stroke=\"{color}\"/>\n",
            from.0, from.1, to.0, to.1
        )
    };
    for percent in (0..=100).step_by(20) {
        let height = y(f64::from(percent) / 100.0);
        svg += &line((x(0.0), height), (x(end), height), "#ddd");
        svg += &text((x(0.0) - 8.0, height + 4.0), "end", &percent.to_string());
    }
    for i in 0..=(end / unit).round() as u32 {
        let eps = f64::from(i) * unit;
        svg += &line((x(eps), y(0.0)), (x(eps), y(0.0) + 5.0), "black");
        // Digits beyond the unit are rounding errors of the product.
        let words = format!("{:.*}", (-unit.log10().floor()).clamp(0.0, 12.0) as usize, eps);
        svg += &text((x(eps), y(0.0) + 20.0), "middle", &words);
    }
    svg += &line((x(0.0), y(0.0)), (x(end), y(0.0)), "black");
    svg += &line((x(0.0), y(0.0)), (x(0.0), y(1.0)), "black");
    svg += &text((SIZE.0 / 2.0, 22.0), "middle", "certified accuracy in per cent");
    svg += &text(
        (SIZE.0 / 2.0, SIZE.1 - 14.0),
        "middle",
        &format!("{} distance ε, in units of the input", input::norm(norm)),
    );

    if let Some((_, first)) = steps.first() {
        let _ = write!(
            svg,
            "<path fill=\"none\" stroke=\"#1565c0\" stroke-width=\"2\" d=\"M{:.1},{:.1}",
            x(0.0),
            y(*first)
        );
        let after = steps.iter().skip(1).map(|(_, accuracy)| *accuracy).chain([0.0]);
        for ((eps, _), accuracy) in steps.iter().zip(after) {
            let _ = write!(svg, " H{:.1} V{:.1}", x(*eps), y(accuracy));
        }
        svg += "\"/>\n";
    }
    for (eps, accuracy) in points {
        let (x, y) = (x(*eps), y(*accuracy));
        let _ = writeln!(svg, "<circle cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"3.5\" fill=\"#1565c0\"/>");
    }
    svg + "</svg>\n"
}

/// 1, 2 or 5 times a power of ten, so that a few of them make up `length`.
fn unit(length: f64) -> f64 {
    let power = 10f64.powf((length / TICKS).log10().floor());
    [1.0, 2.0, 5.0].map(|factor| factor * power).into_iter().find(|unit| length / unit <= TICKS).unwrap_or(10.0 * power)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_curve_has_the_given_steps_within_the_axes() {
        let svg = certified_accuracy(&[(0.1, 0.75), (0.25, 0.5)], &[(0.0, 1.0), (0.2, 0.5)], Norm::L2);
        let path = svg.lines().find(|line| line.starts_with("<path")).unwrap();
        // The axes go from 64 to 616 for ε in [0, 0.25], and from 344 to 40 for accuracies in [0, 1].
        assert!(path.contains("d=\"M64.0,116.0 H284.8 V192.0 H616.0 V344.0\""), "{path}");
        assert!(svg.contains("<circle cx=\"64.0\" cy=\"40.0\"") && svg.contains("<circle cx=\"505.6\" cy=\"192.0\""));
        assert!(svg.contains(">0.25</text>") && svg.contains("ℓ2"));
        // Nothing certified, and distances at the ends of the range.
        for steps in [&[][..], &[(1e6, 1.0)], &[(1e-300, 0.5)], &[(f64::MIN_POSITIVE, 1.0)]] {
            let svg = certified_accuracy(steps, &[], Norm::Linf);
            assert!(svg.ends_with("</svg>\n") && !svg.contains("NaN") && !svg.contains("inf"), "{svg}");
        }
    }
}
