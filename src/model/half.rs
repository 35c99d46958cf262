//! Numbers of 16 bits, read exactly.

/// Returns the `f32` that is the number of IEEE 754's binary16 with these bits.
pub(super) fn f16(bits: u16) -> f32 {
    let sign = u32::from(bits & 0x8000) << 16;
    let (exponent, fraction) = (u32::from(bits >> 10 & 0x1f), u32::from(bits & 0x3ff));
    match exponent {
        // Subnormal: a multiple of 2⁻²⁴.
        0 => f32::from_bits(sign | (fraction as f32 / 16_777_216.0).to_bits()),
        31 => f32::from_bits(sign | 0x7f80_0000 | fraction << 13),
        // The bias of the exponent is 127 in the place of 15.
        _ => f32::from_bits(sign | (exponent + 112) << 23 | fraction << 13),
    }
}

/// Returns the `f32` that is the number of bfloat16 with these bits: its upper half.
pub(super) fn bf16(bits: u16) -> f32 {
    f32::from_bits(u32::from(bits) << 16)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// By the definition: `(−1)ˢ 2^(e−15) (1 + f/1024)`, below that `(−1)ˢ 2⁻¹⁴ f/1024`.
    #[test]
    fn every_number_is_the_one_that_its_bits_mean() {
        for bits in 0..=u16::MAX {
            let (e, f) = (i32::from(bits >> 10 & 31), f64::from(bits & 1023) / 1024.0);
            let size = match e {
                0 => f * 2f64.powi(-14),
                31 if f == 0.0 => f64::INFINITY,
                31 => f64::NAN,
                _ => (1.0 + f) * 2f64.powi(e - 15),
            };
            let expected = if bits & 0x8000 == 0 { size } else { -size };
            let found = f64::from(f16(bits));
            assert!(
                found == expected && found.is_sign_negative() == expected.is_sign_negative()
                    || found.is_nan() && expected.is_nan()
            );
        }
        assert_eq!((bf16(0x3f80), bf16(0xc040), bf16(0x0001)), (1.0, -3.0, f32::from_bits(1 << 16)));
    }
}
