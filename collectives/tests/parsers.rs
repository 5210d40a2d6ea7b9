//! Whatever bytes and texts come from outside, they are read or refused: never a panic, and never memory without
//! bounds.

use axisgrad_collectives::launch::env::detect;
use axisgrad_collectives::signature::Signature;
use axisgrad_collectives::{Call, MeshArgs};
use proptest::prelude::*;

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_signature_of_any_bytes(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        let _ = Signature::decode(&mut &bytes[..]);
    }

    #[test]
    fn a_signature_with_one_wrong_byte_or_cut_short(at in any::<prop::sample::Index>(), byte: u8, cut: bool) {
        let mut bytes = Vec::new();
        Signature::new(&Call::here("psum").dims(&[3, 4]), 3, "all_reduce").encode(&mut bytes);
        let at = at.index(bytes.len());
        if cut { bytes.truncate(at) } else { bytes[at] = byte }
        let read = Signature::decode(&mut &bytes[..]);
        prop_assert!(!cut || read.is_err());
    }

    #[test]
    fn an_environment_of_any_texts(texts in prop::collection::vec(".{0,12}", 12)) {
        let lookup = |name: &str| texts.get(name.len() % 16).cloned();
        if let Some(launcher) = detect(lookup) {
            prop_assert!(launcher.ranks > 0);
        }
    }

    #[test]
    fn mesh_flags_of_any_text(text in "[a-z=,0-9 -]{0,16}", timeout in any::<f64>()) {
        let args = MeshArgs { mesh: Some(text), threads: Some(2), timeout: Some(timeout), ..MeshArgs::default() };
        if let Ok(mesh) = args.mesh(["batch", "model"]) {
            prop_assert_eq!(mesh.shape().workers() % 2, 0);
        }
    }
}
