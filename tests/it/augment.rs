//! Augmentation flips and shifts images, and does nothing else to them.

use dahlquist::{
    data::augment,
    tensor::{Batch, Shape},
};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

/// The image that a shift and then a flip make of `image`, written pixel by pixel.
fn moved(image: &[f32], (c, h, w): (usize, usize, usize), down: i32, right: i32, mirrored: bool) -> Vec<f32> {
    let mut out = Vec::new();
    for k in 0..c {
        for y in 0..h {
            for x in 0..w {
                let y = (y as i32 - down).clamp(0, h as i32 - 1) as usize;
                let x = (x as i32 - right).clamp(0, w as i32 - 1) as usize;
                out.push(image[(k * h + y) * w + if mirrored { w - 1 - x } else { x }]);
            }
        }
    }
    out
}

#[test]
fn augmentation_flips_and_shifts_and_nothing_else() {
    let (c, h, w) = (2, 5, 7);
    let shape = Shape::image(c, h, w);
    let original = Batch::new(shape, (0..1000 * shape.len()).map(|i| i as f32).collect()).unwrap();
    let run = |seed, flip, crop| {
        let mut batch = original.clone();
        augment(&mut batch, &mut ChaCha8Rng::seed_from_u64(seed), flip, crop).unwrap();
        batch
    };
    assert_eq!(run(1, false, 0), original);
    assert_eq!(run(1, true, 2), run(1, true, 2));
    assert_ne!(run(1, true, 2), run(2, true, 2));
    for (flip, crop) in [(true, 0), (false, 1), (true, 2), (true, 4)] {
        let batch = run(7, flip, crop as usize);
        let mut seen = std::collections::BTreeSet::new();
        for s in 0..batch.samples() {
            let found = (-crop..=crop)
                .flat_map(|down| (-crop..=crop).flat_map(move |right| [(down, right, false), (down, right, true)]))
                .find(|&(down, right, m)| moved(original.sample(s), (c, h, w), down, right, m) == batch.sample(s));
            let (down, right, mirrored) = found.expect("neither a flip nor a shift");
            assert!(flip || !mirrored);
            seen.insert((down, right, mirrored));
        }
        // A thousand draws meet every choice, up to 162 of them, but for a chance of e⁻⁶ each.
        let choices = (2 * crop as usize + 1).pow(2) * if flip { 2 } else { 1 };
        assert!(seen.len() + 3 >= choices, "{} of {choices}", seen.len());
    }
    let mut rng = ChaCha8Rng::seed_from_u64(1);
    assert!(augment(&mut original.clone(), &mut rng, true, 5).is_err());
    assert!(augment(&mut original.clone(), &mut rng, true, usize::MAX).is_err());
    assert!(augment(&mut Batch::<f64>::zeros(Shape::Features(9), 1), &mut rng, true, 0).is_err());
}
