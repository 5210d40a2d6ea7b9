//! Files: checkpoints, from which a run goes on anywhere. Written against the public interface only.

pub mod checkpoint;
