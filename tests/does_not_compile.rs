//! Programs that the compiler refuses: each is a documentation test that must not compile.

/// `argnum_negative`: positions count from the front.
/// ```compile_fail
/// # use axisgrad::{Tensor, grad};
/// # let x = Tensor::from(1.0);
/// grad(|x: &Tensor, y: &Tensor| x * y).argnum::<-1>().at((&x, &x));
/// ```
/// `argnum_out_of_range`: there is no argument of that number.
/// ```compile_fail
/// # use axisgrad::{Tensor, grad};
/// # let x = Tensor::from(1.0);
/// grad(|x: &Tensor, y: &Tensor| x * y).argnum::<2>().at((&x, &x));
/// ```
/// `argnums_out_of_range`: nor is there in a tuple.
/// ```compile_fail
/// # use axisgrad::{A0, A5, Tensor, grad};
/// # let x = Tensor::from(1.0);
/// grad(|x: &Tensor, y: &Tensor| x * y).argnums::<(A0, A5)>().at((&x, &x));
/// ```
/// `argnums_empty`: nothing is chosen.
/// ```compile_fail
/// # use axisgrad::{Tensor, grad};
/// # let x = Tensor::from(1.0);
/// grad(|x: &Tensor, y: &Tensor| x * y).argnums::<()>().at((&x, &x));
/// ```
/// `argnum_not_a_number`: a position is an integer.
/// ```compile_fail
/// # use axisgrad::{Tensor, grad};
/// # let x = Tensor::from(1.0);
/// grad(|x: &Tensor, y: &Tensor| x * y).argnum::<1.0>().at((&x, &x));
/// ```
/// `argnum_string`
/// ```compile_fail
/// # use axisgrad::{Tensor, grad};
/// # let x = Tensor::from(1.0);
/// grad(|x: &Tensor, y: &Tensor| x * y).argnum::<"0">().at((&x, &x));
/// ```
/// `argnum_bool`
/// ```compile_fail
/// # use axisgrad::{Tensor, grad};
/// # let x = Tensor::from(1.0);
/// grad(|x: &Tensor, y: &Tensor| x * y).argnum::<true>().at((&x, &x));
/// ```
/// `too_few_arguments`
/// ```compile_fail
/// # use axisgrad::{Tensor, grad};
/// # let x = Tensor::from(1.0);
/// grad(|x: &Tensor, y: &Tensor| x * y).at(&x);
/// ```
/// `not_callable`
/// ```compile_fail
/// # use axisgrad::{Tensor, grad};
/// # let x = Tensor::from(1.0);
/// grad(3).at(&x);
/// ```
/// `not_a_tensor`: a function to differentiate returns a tensor, and neither a tuple
/// ```compile_fail
/// # use axisgrad::{Tensor, grad};
/// # let x = Tensor::from(1.0);
/// grad(|x: &Tensor| (x.clone(), x.clone())).at(&x);
/// ```
/// nor a map
/// ```compile_fail
/// # use axisgrad::{Tensor, grad};
/// # let x = Tensor::from(1.0);
/// grad(|x: &Tensor| std::collections::BTreeMap::from([("a", x.clone())])).at(&x);
/// ```
/// nor nothing
/// ```compile_fail
/// # use axisgrad::{Tensor, grad};
/// # let x = Tensor::from(1.0);
/// grad(|x: &Tensor| ()).at(&x);
/// ```
/// nor a string
/// ```compile_fail
/// # use axisgrad::{Tensor, grad};
/// # let x = Tensor::from(1.0);
/// grad(|x: &Tensor| "hi").at(&x);
/// ```
/// nor an iterator.
/// ```compile_fail
/// # use axisgrad::{Tensor, grad};
/// # let x = Tensor::from(1.0);
/// grad(|x: &Tensor| std::iter::once(x.clone())).at(&x);
/// ```
/// `not_a_tree`: an argument is a tree.
/// ```compile_fail
/// # use axisgrad::{Tensor, grad};
/// struct Object;
/// grad(|x: &Object| Tensor::from(1.0)).at(&Object);
/// ```
/// `aux_not_a_pair`: with `has_aux` the function returns a pair, not a tensor
/// ```compile_fail
/// # use axisgrad::{Tensor, grad};
/// # let x = Tensor::from(1.0);
/// grad(|x: &Tensor| x * x).has_aux().at(&x);
/// ```
/// nor a triple
/// ```compile_fail
/// # use axisgrad::{Tensor, grad};
/// # let x = Tensor::from(1.0);
/// grad(|x: &Tensor| (x.clone(), x.clone(), x.clone())).has_aux().at(&x);
/// ```
/// nor an array.
/// ```compile_fail
/// # use axisgrad::{Tensor, grad};
/// # let x = Tensor::from(1.0);
/// grad(|x: &Tensor| [x.clone(), x.clone()]).has_aux().at(&x);
/// ```
/// `reduce_axes_not_a_list`: a name alone is not a list of names.
/// ```compile_fail
/// # use axisgrad::{Tensor, grad};
/// # let x = Tensor::from(1.0);
/// grad(|x: &Tensor| x * x).reduce_axes("batch").at(&x);
/// ```
/// `reduce_axes_int`: nor is a number
/// ```compile_fail
/// # use axisgrad::{Tensor, grad};
/// # let x = Tensor::from(1.0);
/// grad(|x: &Tensor| x * x).reduce_axes(1).at(&x);
/// ```
/// alone or in a list.
/// ```compile_fail
/// # use axisgrad::{Tensor, grad};
/// # let x = Tensor::from(1.0);
/// grad(|x: &Tensor| x * x).reduce_axes([1]).at(&x);
/// ```
/// `cotangent_count`: a pullback takes one cotangent, of the structure of the value.
/// ```compile_fail
/// # use axisgrad::{Tensor, vjp};
/// # let x = Tensor::from(1.0);
/// vjp(|x: &Tensor| (x.clone(), x.clone())).at(&x).1.call(&x, &x);
/// ```
/// `custom_vjp_without_rule`: a function without its rule is not one yet.
/// ```compile_fail
/// # use axisgrad::{Tensor, custom_vjp, grad};
/// grad(custom_vjp(Tensor::square)).at(&Tensor::from(1.0));
/// ```
/// `custom_vjp_bare_cotangent`: a rule returns a cotangent for each argument, as a tuple.
/// ```compile_fail
/// # use axisgrad::{Tensor, custom_vjp, grad};
/// let forward = |x: &Tensor| (x.square(), x.clone());
/// let f = custom_vjp(Tensor::square).defvjp(forward, |x: &Tensor, ct: &Tensor| ct * x * 2.0);
/// grad(f).at(&Tensor::from(1.0));
/// ```
pub struct Refused;
