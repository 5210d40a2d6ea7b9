//! Golden cases: small programs in JSON, interpreted over the ops of axisgrad under every placement of their axes.
//!
//! The format is described in `golden/README.md`.

pub mod attrs;
pub mod compare;
pub mod derivative;
pub mod interpret;
pub mod ops;
pub mod placement;
pub mod promote;
pub mod record;
pub mod run;
pub mod streams;
pub mod transforms;
pub mod value;
