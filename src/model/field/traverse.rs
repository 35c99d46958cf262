//! What a field is made of, part by part.

use super::{Field, Linear, Potential};
use crate::{activation::Activation, error::Result, model::join, scalar::Scalar};

/// The constants of a field that are rounded to the format of a network.
pub(crate) struct Constants<'a> {
    /// Its functions.
    pub activations: Vec<&'a mut Activation>,
    /// Its numbers.
    pub numbers: Vec<&'a mut f64>,
}

/// A place in a tree of weights, and what is done to each of them.
struct At<'a, F> {
    path: &'a str,
    f: &'a mut F,
}

impl<F> At<'_, F> {
    fn part<W, V, E>(&mut self, name: &str, operator: Linear<W>) -> Result<Linear<V>, E>
    where
        F: FnMut(&str, usize, W) -> Result<V, E>,
    {
        operator.try_map(&join(self.path, name), self.f)
    }

    fn vector<W, V, E>(&mut self, name: &str, vector: Option<W>) -> Result<Option<V>, E>
    where
        F: FnMut(&str, usize, W) -> Result<V, E>,
    {
        vector.map(|vector| (self.f)(&join(self.path, name), 1, vector)).transpose()
    }

    fn potential<W, V, E>(&mut self, name: &str, of: Potential<W>) -> Result<Potential<V>, E>
    where
        F: FnMut(&str, usize, W) -> Result<V, E>,
    {
        let operator = self.part(&join(name, "operator"), of.operator)?;
        Ok(Potential { activation: of.activation, operator })
    }
}

impl<W> Field<W> {
    /// Returns the field with its constants rounded to the format `T`, as it is evaluated.
    ///
    /// # Errors
    /// [`Error::Parameter`] for a constant that `T` cannot hold.
    pub(crate) fn in_format<T: Scalar>(mut self) -> Result<Self> {
        let Constants { activations, numbers } = self.constants();
        for function in activations {
            *function = function.in_format::<T>()?;
        }
        numbers.into_iter().for_each(|x| *x = T::of(*x).wide());
        Ok(self)
    }

    /// Its functions and numbers, to be rounded.
    pub(crate) fn constants(&mut self) -> Constants<'_> {
        let (activations, numbers) = match self {
            Self::Gradient { activation, .. } | Self::Residual { activation, .. } | Self::Lurie { activation, .. } => {
                (vec![activation], vec![])
            }
            Self::Dissipative { activation, damping, .. }
            | Self::DissipativeHamiltonian { activation, damping, .. }
            | Self::Antisymmetric { activation, damping, .. }
            | Self::Nais { activation, epsilon: damping, .. } => (vec![activation], vec![damping]),
            Self::Hamiltonian { kinetic, potential } => {
                (vec![&mut kinetic.activation, &mut potential.activation], vec![])
            }
            Self::LyapunovProjected { activation, potential, epsilon, rate, .. } => {
                (vec![activation, &mut potential.activation], vec![epsilon, rate])
            }
            Self::SkewLinear { .. } | Self::Opaque(_) => (vec![], vec![]),
        };
        Constants { activations, numbers }
    }

    /// Returns the operators, with their names as in files.
    pub(crate) fn operators_mut(&mut self) -> Vec<&mut Linear<W>> {
        match self {
            Self::Gradient { operator, .. } => vec![operator],
            Self::Residual { inner, outer, .. } => vec![inner, outer],
            Self::Dissipative { operator, skew, .. } => vec![operator, skew],
            Self::Hamiltonian { kinetic, potential } => vec![&mut kinetic.operator, &mut potential.operator],
            Self::DissipativeHamiltonian { operator, quadratic, skew, .. } => vec![operator, quadratic, skew],
            Self::Antisymmetric { matrix: one, .. }
            | Self::SkewLinear { skew: one }
            | Self::Nais { factor: one, .. } => {
                vec![one]
            }
            Self::Lurie { linear, inner, outer, .. } => vec![linear, inner, outer],
            Self::LyapunovProjected { inner, outer, potential, .. } => vec![inner, outer, &mut potential.operator],
            Self::Opaque(_) => vec![],
        }
    }

    /// As [`crate::model::Map::try_map`]: operator by operator, then what is no operator.
    ///
    /// # Errors
    /// The first error of `f`.
    pub fn try_map<V, E>(self, path: &str, f: &mut impl FnMut(&str, usize, W) -> Result<V, E>) -> Result<Field<V>, E> {
        let mut at = At { path, f };
        Ok(match self {
            Self::Gradient { activation, operator, weights } => Field::Gradient {
                activation,
                operator: at.part("operator", operator)?,
                weights: at.vector("weights", weights)?,
            },
            Self::Residual { activation, inner, outer } => {
                Field::Residual { activation, inner: at.part("inner", inner)?, outer: at.part("outer", outer)? }
            }
            Self::Dissipative { activation, operator, skew, damping } => Field::Dissipative {
                activation,
                operator: at.part("operator", operator)?,
                skew: at.part("skew", skew)?,
                damping,
            },
            Self::Hamiltonian { kinetic, potential } => Field::Hamiltonian {
                kinetic: at.potential("kinetic", kinetic)?,
                potential: at.potential("potential", potential)?,
            },
            Self::DissipativeHamiltonian { activation, operator, quadratic, skew, damping } => {
                Field::DissipativeHamiltonian {
                    activation,
                    operator: at.part("operator", operator)?,
                    quadratic: at.part("quadratic", quadratic)?,
                    skew: at.part("skew", skew)?,
                    damping,
                }
            }
            Self::Antisymmetric { activation, matrix, bias, damping } => Field::Antisymmetric {
                activation,
                matrix: at.part("matrix", matrix)?,
                bias: at.vector("bias", bias)?,
                damping,
            },
            Self::SkewLinear { skew } => Field::SkewLinear { skew: at.part("skew", skew)? },
            Self::Nais { activation, factor, bias, epsilon } => {
                Field::Nais { activation, factor: at.part("factor", factor)?, bias: at.vector("bias", bias)?, epsilon }
            }
            Self::Lurie { activation, linear, inner, outer } => Field::Lurie {
                activation,
                linear: at.part("linear", linear)?,
                inner: at.part("inner", inner)?,
                outer: at.part("outer", outer)?,
            },
            Self::LyapunovProjected { activation, inner, outer, potential, epsilon, rate } => {
                Field::LyapunovProjected {
                    activation,
                    inner: at.part("inner", inner)?,
                    outer: at.part("outer", outer)?,
                    potential: at.potential("potential", potential)?,
                    epsilon,
                    rate,
                }
            }
            Self::Opaque(opaque) => Field::Opaque(opaque),
        })
    }

    pub(in crate::model) fn each<'a>(&'a self, f: &mut impl FnMut(&'a W)) {
        match self {
            Self::Gradient { operator, weights, .. } => {
                operator.each(f);
                weights.iter().for_each(f);
            }
            Self::Residual { inner, outer, .. } => [inner, outer].into_iter().for_each(|part| part.each(f)),
            Self::Dissipative { operator, skew, .. } => [operator, skew].into_iter().for_each(|part| part.each(f)),
            Self::Hamiltonian { kinetic, potential } => {
                [&kinetic.operator, &potential.operator].into_iter().for_each(|part| part.each(f));
            }
            Self::DissipativeHamiltonian { operator, quadratic, skew, .. } => {
                [operator, quadratic, skew].into_iter().for_each(|part| part.each(f));
            }
            Self::Antisymmetric { matrix: one, bias, .. } | Self::Nais { factor: one, bias, .. } => {
                one.each(f);
                bias.iter().for_each(f);
            }
            Self::SkewLinear { skew } => skew.each(f),
            Self::Lurie { linear, inner, outer, .. } => {
                [linear, inner, outer].into_iter().for_each(|part| part.each(f));
            }
            Self::LyapunovProjected { inner, outer, potential, .. } => {
                [inner, outer, &potential.operator].into_iter().for_each(|part| part.each(f));
            }
            Self::Opaque(_) => {}
        }
    }
}
