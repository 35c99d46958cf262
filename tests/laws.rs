//! Every layer, field and method of the crate is held to the laws.

use dahlquist::{
    field_laws,
    integrate::Tableau,
    laws::{self, strategies},
    layer_laws,
};
use proptest::sample::select;

layer_laws! {
    dense<T>: strategies::dense_layer::<T>();
    unit_rows<T>: strategies::unit_rows_layer::<T>();
    conv2d<T>: strategies::conv2d_layer::<T>();
    pool<T>: strategies::pool_layer::<T>();
    activation<T>: strategies::activation_layer::<T>();
    normalize<T>: strategies::normalize::<T>();
    reshape<T>: strategies::reshape();
    gradient_flow<T>: strategies::gradient_flow::<T>();
    residual_flow<T>: strategies::residual_flow::<T>();
}

field_laws! {
    gradient_field<T>: strategies::gradient_field::<T>();
    residual_field<T>: strategies::residual_field::<T>();
}

#[test]
fn methods() {
    let names = Tableau::names().chain(["ssprk32", "ssprk52", "ssprk102"]).collect::<Vec<_>>();
    laws::hold(select(names), |name, seed| laws::tableau(&Tableau::by_name(name).unwrap(), seed));
}
