//! Every layer, field and method of the crate is held to the laws.

use dahlquist::{
    claim_laws,
    field::VectorField,
    field_claim_laws, field_laws,
    integrate::Tableau,
    laws::{self, strategies},
    layer::{AffineLayer, Layer},
    layer_laws,
    rigor::Summation,
    scalar::Scalar,
};
use proptest::{prelude::Strategy, sample::select};

layer_laws! {
    dense<T>: strategies::dense_layer::<T>();
    unit_rows<T>: strategies::unit_rows_layer::<T>();
    conv2d<T>: strategies::conv2d_layer::<T>();
    pool<T>: strategies::pool_layer::<T>();
    activation<T>: strategies::activation_layer::<T>();
    normalize<T>: strategies::normalize::<T>();
    reshape<T>: strategies::reshape();
    moves<T>: strategies::moves();
    selection<T>: strategies::selection();
    l2_pool<T>: strategies::l2_pool();
    householder<T>: strategies::householder::<T>();
    partial_activation<T>: strategies::partial_activation::<T>();
    channel_affine<T>: strategies::channel_affine::<T>().prop_map(AffineLayer::new);
    grouped_conv2d<T>: strategies::grouped_conv2d::<T>().prop_map(AffineLayer::new);
    graph_gradient<T>: strategies::graph_gradient::<T>().prop_map(AffineLayer::new);
    gradient_flow<T>: strategies::gradient_flow::<T>();
    varying_gradient_flow<T>: strategies::varying_gradient_flow::<T>();
    residual_flow<T>: strategies::residual_flow::<T>();
    alternation<T>: strategies::alternation::<T>();
    splitting<T>: strategies::splitting::<T>();
    structured_flow<T>: strategies::structured_flow::<T>();
    declared_dense<T>: declared::<T, _>(strategies::long_dense::<T>().prop_map(AffineLayer::new));
    declared_conv2d<T>: declared::<T, _>(strategies::long_conv2d::<T>().prop_map(AffineLayer::new));
    declared_gradient_flow<T>: declared::<T, _>(strategies::long_gradient_field::<T>().prop_filter_map("refused", |field| {
        strategies::flow(field, Tableau::heun(), 1.0, true, 2)
    }));
    declared_residual_flow<T>: declared::<T, _>(strategies::residual_flow::<T>());
}

claim_laws! {
    steep_gradient_flow<T>: strategies::steep_gradient_flow::<T>();
    steep_residual_flow<T>: strategies::steep_residual_flow::<T>();
    steep_splitting<T>: strategies::steep_splitting::<T>();
    steep_structured_flow<T>: strategies::steep_structured_flow::<T>();
    long_step_gradient_flow<T>: strategies::long_step_gradient_flow::<T>();
    midpoint<T>: strategies::gradient_flow_by::<T>("midpoint");
    heun<T>: strategies::gradient_flow_by::<T>("heun");
    ralston2<T>: strategies::gradient_flow_by::<T>("ralston2");
    ralston3<T>: strategies::gradient_flow_by::<T>("ralston3");
    kutta3<T>: strategies::gradient_flow_by::<T>("kutta3");
    heun3<T>: strategies::gradient_flow_by::<T>("heun3");
    ssprk33<T>: strategies::gradient_flow_by::<T>("ssprk33");
    ssprk43<T>: strategies::gradient_flow_by::<T>("ssprk43");
    rk4<T>: strategies::gradient_flow_by::<T>("rk4");
    three_eighths<T>: strategies::gradient_flow_by::<T>("three_eighths");
    dopri5<T>: strategies::gradient_flow_by::<T>("dopri5");
}

field_claim_laws! {
    steep_gradient_field<T>: strategies::steep_gradient_field::<T>();
    steep_residual_field<T>: strategies::steep_residual_field::<T>();
    // A projection has kinks of every size near the minimum of its potential: `projected` compares derivatives away from it.
    projected_field<T>: strategies::projected_field::<T>();
}

field_laws! {
    gradient_field<T>: strategies::gradient_field::<T>();
    residual_field<T>: strategies::residual_field::<T>();
    graph_diffusion<T>: strategies::graph_diffusion::<T>();
    structured_field<T>: strategies::structured_field::<T>();
    declared_gradient_field<T>: strategies::long_gradient_field::<T>().prop_map(|mut field| {
        VectorField::<T>::set_summation(&mut field, Summation::Declared);
        field
    });
}

/// The same layers, their sums in the declared order.
fn declared<T: Scalar, L: Layer<T>>(layers: impl Strategy<Value = L>) -> impl Strategy<Value = L> {
    layers.prop_map(|mut layer| {
        layer.set_summation(Summation::Declared);
        layer
    })
}

#[test]
fn methods() {
    let names = Tableau::names().chain(["ssprk32", "ssprk52", "ssprk102"]).collect::<Vec<_>>();
    laws::hold(select(names), |name, seed| laws::tableau(&Tableau::by_name(name).unwrap(), seed));
}

/// Every value of these takes a solve: few cases, so that they take seconds.
#[test]
fn what_is_solved() {
    fn hold<T: Scalar>(cases: u32) {
        let found = laws::search(cases, strategies::equilibrium::<T>(), |layer, seed| laws::layer::<T, _>(layer, seed));
        assert!(found.is_ok(), "{found:?}");
        let found =
            laws::search(cases, strategies::implicit_flow::<T>(), |layer, seed| laws::layer::<T, _>(layer, seed));
        assert!(found.is_ok(), "{found:?}");
    }
    hold::<f32>(4);
    hold::<f64>(4);
}
