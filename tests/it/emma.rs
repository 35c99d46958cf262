//! EMMA: each sample is asked for as much of the radius as it has.

use dahlquist::{
    tensor::{Batch, Shape},
    train::Emma,
};

#[test]
fn a_sample_is_asked_for_what_it_may_have() {
    let loss = Emma { temperature: 0.5, radius: 0.2 };
    let distances = vec![vec![0.0, 1.0, 2.0], vec![1.0, 0.0, 1.0], vec![2.0, 1.0, 0.0]];
    // Against class 1 the sample has radius 0.1, which is less than 0.2; against class 2, 0.5.
    let logits = Batch::new(Shape::Features(3), vec![1.0, 0.9, 0.0]).unwrap();
    let ((value, correct), g) = loss.gradient::<f64>(&logits, &[0], &distances);
    let shifted: [f64; 3] = [1.0, 0.9 + 0.1, 0.0 + 0.4];
    let total: f64 = shifted.iter().map(|f| (f / 0.5).exp()).sum();
    assert!((value - (0.5 * total.ln() - 1.0)).abs() < 1e-12, "{value}");
    assert_eq!(correct, 1);
    for (j, (g, f)) in g.data().iter().zip(shifted).enumerate() {
        let expected = (f / 0.5).exp() / total - f64::from(u8::from(j == 0));
        assert!((g - expected).abs() < 1e-12, "{j}: {g}");
    }
    // A sample that is classified wrongly is asked for a hundredth.
    let ((value, correct), _) = loss.gradient::<f64>(&logits, &[2], &distances);
    let shifted: [f64; 3] = [1.0 + 0.004, 0.9 + 0.002, 0.0];
    let total: f64 = shifted.iter().map(|f| (f / 0.5).exp()).sum();
    assert!((value - 0.5 * total.ln()).abs() < 1e-12, "{value}");
    assert_eq!(correct, 0);
}

#[test]
fn the_radius_grows_over_the_first_half() {
    let loss = Emma { temperature: 0.5, radius: 0.2 };
    let radii = [0.0, 0.25, 0.5, 1.0].map(|t| loss.at(t).radius);
    for (found, expected) in radii.into_iter().zip([0.02, 0.11, 0.2, 0.2]) {
        assert!((found - expected).abs() < 1e-15, "{found}");
    }
}
