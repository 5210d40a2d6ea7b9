//! Reductions over positional dims: `x.sum(())`, `x.max(-1)`, `x.mean([0, 1])`, `x.sum(keep(0))`.

mod along;
mod arg;
mod extreme;
mod logical;
mod logsumexp;
mod moments;
mod prod;
mod square_sum;
mod sum;

pub use along::{IntoDims, Keep, keep};
pub use arg::{argmax, argmin};
pub use extreme::{max, min};
pub use logical::{all, any};
pub use logsumexp::logsumexp;
pub use moments::{mean, norm, std, std_ddof, var, var_ddof};
pub use prod::prod;
pub(crate) use square_sum::square_sum;
pub use sum::sum;
pub(crate) use sum::sum_dims;
