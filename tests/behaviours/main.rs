//! What axisgrad does where the reference does something remarkable: one test for each probe of
//! `golden/behaviours.json`. `docs/behaviours.md` is the table of all of them, and names these tests.

mod allow_int;
mod argnums;
mod aux;
mod axis_names;
mod binders;
mod catalogue;
mod collectives;
mod complex;
mod grad_of_map;
mod input;
mod output;
mod probe;
mod reduce_axes;
mod tracing;
mod vjp;
