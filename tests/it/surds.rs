//! Exact sums of square roots, and their rounding.

use std::cmp::Ordering;

use dahlquist::integrate::Surd;
use rand::{RngExt, SeedableRng};

fn q(n: i64, d: i64) -> Surd {
    Surd::ratio(n, d).unwrap()
}

fn exact(x: f64) -> Surd {
    Surd::from_f64(x).unwrap()
}

/// `u + v√n`.
fn surd(u: i64, v: i64, n: u32) -> Surd {
    &Surd::from(u) + &(&Surd::from(v) * &Surd::sqrt(n))
}

#[test]
fn surds_are_a_field() {
    let mut rng = rand_chacha::ChaCha8Rng::seed_from_u64(2);
    let roots = [1, 2, 3, 6, 12, 30, 49, 1001, 4_294_967_291].map(Surd::sqrt);
    let mut draw = || -> Surd { roots.iter().map(|r| &q(rng.random_range(-9..9), rng.random_range(1..9)) * r).sum() };
    for _ in 0..20 {
        let (x, y, z) = (draw(), draw(), draw());
        assert_eq!(&(&x + &y) * &z, &(&x * &z) + &(&y * &z));
        assert_eq!(&(&x * &y) * &z, &x * &(&y * &z));
        assert_eq!(&x - &x, Surd::default());
        assert_eq!((&x * &y).sign() == Ordering::Greater, x.sign() == y.sign());
        assert!(exact(x.lower()) <= x && x <= exact(x.upper()) && x.lower().next_up() >= x.upper());
    }
    let x: Surd = roots[..6].iter().cloned().sum();
    assert_eq!(&x * &x.recip().unwrap(), Surd::from(1));
    assert_eq!(Surd::default().recip(), None);
}

#[test]
fn surds_of_almost_equal_size_are_told_apart() {
    // √2 = p/q ± 1/(2√2q²) for the convergents p/q; f64 sees no difference from q = 10⁸ on.
    let (mut p, mut d) = (1i64, 1i64);
    for k in 0..45 {
        let convergent = q(p, d);
        assert_eq!(convergent.cmp(&Surd::sqrt(2)), if k % 2 == 0 { Ordering::Less } else { Ordering::Greater });
        (p, d) = (p + 2 * d, p + d);
    }
    // √2 + √3 − √(5 + 2√6) = 0, with the last root written out.
    assert_eq!((&(&Surd::sqrt(2) + &Surd::sqrt(3)) * &(&Surd::sqrt(2) + &Surd::sqrt(3))), surd(5, 2, 6));
    assert_eq!(Surd::sqrt(0), Surd::default());
    assert_eq!(Surd::sqrt(72), surd(0, 6, 2));
    assert_eq!(surd(1, -2, 6).to_string(), "1 - 2√2√3");
    assert!(Surd::ratio(1, 0).is_err() && Surd::from_f64(f64::NAN).is_err());
}

#[test]
fn rounding_is_to_nearest_once() {
    // Just above the middle between two f32, by less than f64 sees: rounding twice would go down to even.
    let middle = &exact(1.0) + &exact(2f64.powi(-24));
    let above = &middle + &exact(2f64.powi(-60));
    assert_eq!(above.nearest::<f32>(), 1f32.next_up());
    assert_eq!(above.lower() as f32, 1.0);
    assert_eq!((-&above).nearest::<f32>(), (-1f32).next_down());
    assert_eq!(q(1, 3).nearest::<f64>(), 1.0 / 3.0);
    assert_eq!(exact(1e300).nearest::<f32>(), f32::INFINITY);
    let huge = &exact(f64::MAX) * &Surd::from(2);
    assert_eq!((huge.lower(), huge.upper()), (f64::MAX, f64::INFINITY));
    assert_eq!(((-&huge).lower(), (-&huge).upper()), (f64::NEG_INFINITY, -f64::MAX));
    let tiny = &exact(5e-324) * &q(1, 2);
    assert_eq!((tiny.lower(), tiny.upper()), (0.0, 5e-324));
}
