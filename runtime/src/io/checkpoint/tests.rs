//! Saving on one mesh and loading on another; damage; and a disk that fails in the middle.

mod reading;

use std::fs;
use std::io::{Error as IoError, Result as IoResult};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use proptest::prelude::{ProptestConfig, prop, prop_assert, prop_assert_eq, proptest};

use super::disk::{Disk, System};
use super::folder::{Folder, list};
use super::load::{Loaded, last_whole};
use super::manifest::{MANIFEST, Manifest};
use super::save::Share;
use super::{Run, RunArgs};
use crate::error::Result;
use crate::prelude::*;
use crate::random::normal;
use crate::tree::Saved;

/// A directory of a test's own, which goes with the value.
struct Scratch(PathBuf);

impl Scratch {
    fn new() -> Self {
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        let name = format!("axisgrad-test-{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        let path = std::env::temp_dir().join(name);
        fs::create_dir_all(&path).expect("a directory");
        Self(path)
    }

    fn args(&self) -> RunArgs {
        RunArgs { checkpoint_dir: Some(self.0.clone()), save_every: 1, ..Default::default() }
    }

    fn resuming(&self) -> RunArgs {
        RunArgs { resume: Some("auto".into()), ..self.args() }
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// One leaf of every kind: of every type, empty, scalar, and varying over one axis and over two.
#[derive(Clone, Tree)]
struct State {
    weights: Vec<Tensor>,
    sharded: Tensor,
    both: Tensor,
    key: Saved<Key>,
    steps: Saved<i64>,
}

impl State {
    fn new(w: &Worker, seed: i64) -> Self {
        let key = w.key(seed);
        let real = normal(key, DType::F32, &[5, 3]);
        let rows = normal(key.fold_in(1), DType::F64, &[7, 6, 2]);
        let types = [DType::F64, DType::C64, DType::C128, DType::I32, DType::I64, DType::U8, DType::Bool];
        let mut weights: Vec<Tensor> = types.iter().map(|dtype| real.abs().cast(*dtype)).collect();
        weights.extend([real.clone(), Tensor::from(Array::zeros(DType::F32, [0, 4])), Tensor::from(2.5f32)]);
        weights.extend([DType::BF16, DType::U32, DType::U64].map(|dtype| real.abs().cast(dtype)));
        let sharded = w.unstack(&rows, "model");
        let both = w.unstack(&w.unstack(&rows, "batch"), "model");
        Self { weights, sharded, both, key: Saved(key), steps: Saved(seed) }
    }

    /// All bits, in whatever place they are.
    fn bits(&self) -> Vec<String> {
        let whole = |x: &Tensor| {
            let names: Vec<String> = x.axes().iter().map(|axis| axis.name().to_owned()).collect();
            names.iter().fold(x.clone(), |x, name| gather(&x, name))
        };
        self.leaves()
            .iter()
            .map(|leaf| format!("{} {:?}", leaf.dtype(), whole(leaf).to_array().contiguous_buffer().bytes()))
            .collect()
    }
}

fn mesh(threads: usize, ranks: usize, model: usize) -> Mesh {
    let builder = Mesh::builder().axes(["batch"]).axis("model", model).threads(threads).block(2);
    let builder = if ranks > 1 { builder.simulated_ranks(ranks) } else { builder };
    builder.build().expect("a mesh")
}

/// The places of up to eight workers: threads, ranks, and workers along the axis `model`.
fn places() -> Vec<(usize, usize, usize)> {
    vec![
        (1, 1, 1),
        (2, 1, 2),
        (3, 1, 1),
        (4, 1, 2),
        (1, 2, 1),
        (2, 2, 4),
        (1, 4, 2),
        (2, 4, 2),
        (8, 1, 4),
        (5, 1, 5),
    ]
}

fn save(place: (usize, usize, usize), args: &RunArgs, seed: i64) -> Vec<String> {
    let (threads, ranks, model) = place;
    let save = |w: &Worker| -> Result<_> {
        let (mut run, _) = args.open(w, State::new(w, 0))?;
        let state = State::new(w, seed);
        run.step(&state)?;
        run.finish(&state)?;
        Ok(state.bits())
    };
    mesh(threads, ranks, model).run(save).expect("saved")
}

fn load(place: (usize, usize, usize), args: &RunArgs) -> Result<(u64, Vec<String>)> {
    let (threads, ranks, model) = place;
    mesh(threads, ranks, model).run(|w| -> Result<_> {
        let (run, state) = args.open(w, State::new(w, -1))?;
        Ok((run.steps(), state.bits()))
    })
}

#[test]
fn saved_on_one_mesh_and_loaded_on_another() {
    for saved_on in places() {
        let scratch = Scratch::new();
        let bits = save(saved_on, &scratch.args(), 7);
        for loaded_on in places() {
            let (step, loaded) = load(loaded_on, &scratch.resuming()).expect("whole");
            assert!(step == 1 && loaded == bits, "saved on {saved_on:?}, loaded on {loaded_on:?}");
        }
    }
}

#[test]
fn the_last_ones_and_some_others_are_kept() {
    let scratch = Scratch::new();
    let args = RunArgs { keep_last: 2, keep_every: Some(4), ..scratch.args() };
    let train = |w: &Worker| -> Result<()> {
        let (mut run, mut x) = args.open(w, Tensor::from(0.0))?;
        while run.steps() < 11 {
            x = &x + 1.0;
            run.step(&x)?;
        }
        run.finish(&x)
    };
    mesh(2, 1, 1).run(train).unwrap();
    let kept: Vec<u64> = list(&scratch.0).unwrap().iter().map(|whole| whole.step).collect();
    assert_eq!(kept, [4, 8, 10, 11]);
    let refused = mesh(1, 1, 1).run(train).unwrap_err();
    assert!(
        refused
            .to_string()
            .contains("there are checkpoints up to step 11\n   go on from there with --resume"),
        "{refused}"
    );
}

#[test]
fn another_program_s_state_is_refused() {
    let scratch = Scratch::new();
    save((1, 1, 1), &scratch.args(), 1);
    let open = |state: fn(&Worker) -> (Tensor, Option<Tensor>)| {
        let error = mesh(1, 1, 1).run(|w| scratch.resuming().open(w, state(w)).map(|_: (Run, _)| ()));
        error.unwrap_err().to_string()
    };
    let text = open(|_| (Tensor::from(1.0), None));
    assert!(text.ends_with("it has no tensor `.0`, which the program's state has"), "{text}");
    let other = |w: &Worker| -> Result<()> {
        let mut state = State::new(w, 1);
        state.weights[7] = Tensor::from([1.0f32, 2.0]);
        scratch.resuming().open(w, state).map(|_| ())
    };
    let text = mesh(2, 1, 1).run(other).unwrap_err().to_string();
    assert!(text.contains("its tensor `weights[7]` is f32[5,3], and the program's is f32[2]"), "{text}");
}

#[test]
fn a_second_run_in_the_same_directory_is_refused() {
    let scratch = Scratch::new();
    let open = |w: &Worker| scratch.args().open(w, Tensor::from(0.0)).map(drop);
    let twice = |w: &Worker| -> Result<String> {
        let _run = scratch.args().open(w, Tensor::from(0.0))?;
        Ok(mesh(1, 1, 1).run(open).unwrap_err().to_string())
    };
    let text = mesh(1, 1, 1).run(twice).unwrap();
    assert!(text.contains("another run writes its checkpoints there"), "{text}");
}

/// A disk that does so many operations and then none, as when the process is killed there: of the one where it
/// ends, a write gets a part of the file down.
struct Ending {
    left: AtomicUsize,
    error: fn() -> IoError,
    torn: bool,
}

impl Ending {
    fn after(operations: usize, torn: bool, error: fn() -> IoError) -> Self {
        Self { left: AtomicUsize::new(operations), error, torn }
    }

    fn step(&self) -> IoResult<()> {
        let left = self.left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1));
        left.map(drop).map_err(|_| (self.error)())
    }
}

impl Disk for Ending {
    fn create_dir(&self, path: &Path) -> IoResult<()> {
        self.step()?;
        System.create_dir(path)
    }

    fn write(&self, path: &Path, bytes: &[u8]) -> IoResult<()> {
        let last = self.left.load(Ordering::Relaxed) == 1;
        self.step()?;
        if last && self.torn {
            fs::write(path, &bytes[..bytes.len() / 2])?;
            return Err((self.error)());
        }
        System.write(path, bytes)
    }

    fn rename(&self, from: &Path, to: &Path) -> IoResult<()> {
        self.step()?;
        System.rename(from, to)
    }

    fn sync_dir(&self, path: &Path) -> IoResult<()> {
        self.step()?;
        System.sync_dir(path)
    }

    fn remove_dir(&self, path: &Path) -> IoResult<()> {
        self.step()?;
        System.remove_dir(path)
    }
}

/// Saves a step on one worker, on this disk.
fn save_on(path: &Path, disk: impl Disk + 'static, step: u64) -> IoResult<()> {
    let folder =
        Folder { path: path.to_owned(), disk: Box::new(disk), keep_last: 1, keep_every: None, run: step };
    let share =
        mesh(1, 1, 1).run(|w| -> Result<_> { Ok(Share::of(w, step, &Tensor::from([step as f64; 9]))) });
    share.expect("a share").write(&folder, &AtomicBool::new(false))
}

/// Wherever a save ends, and whatever the disk says, what was whole before can be loaded, or what is whole now.
#[test]
fn a_save_may_end_between_any_two_operations() {
    let errors: [fn() -> IoError; 2] = [|| IoError::from_raw_os_error(28), || IoError::from_raw_os_error(5)];
    let mut ended = 0;
    for (error, torn) in errors.into_iter().flat_map(|error| [(error, false), (error, true)]) {
        for operations in 0.. {
            let scratch = Scratch::new();
            save_on(&scratch.0, System, 3).expect("the first save");
            // Another run has been at step 5 already.
            save_on(&scratch.0, System, 5).expect("the second save");
            let result =
                save_on(&scratch.0, Ending::after(operations, torn, error), 5 + operations as u64 % 2);
            let loaded = last_whole(&scratch.0).expect("whole").expect("there is one");
            assert!(loaded.step >= 5, "step {}", loaded.step);
            assert_eq!(loaded.tensors[""].1[..8], (loaded.step as f64).to_le_bytes());
            ended += 1;
            if result.is_ok() {
                break;
            }
            assert!(operations < 100);
        }
    }
    assert!(ended > 40, "{ended}");
}

#[test]
fn what_is_missing_is_said() {
    let scratch = Scratch::new();
    let disk = Ending::after(3, true, || IoError::from_raw_os_error(28));
    assert!(save_on(&scratch.0, disk, 1).unwrap_err().to_string().contains("No space left on device"));
    assert!(last_whole(&scratch.0).unwrap().is_none());
    for step in [1, 2] {
        let folder = Folder {
            path: scratch.0.clone(),
            disk: Box::new(System),
            keep_last: 5,
            keep_every: None,
            run: 0,
        };
        let share =
            mesh(1, 1, 1).run(|w| -> Result<_> { Ok(Share::of(w, step, &vec![Tensor::from([1.0, 2.0])])) });
        share.unwrap().write(&folder, &AtomicBool::new(false)).unwrap();
    }
    let file = scratch.0.join("step-00000002/share-00000.safetensors");
    let mut bytes = fs::read(&file).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    fs::write(&file, bytes).unwrap();
    let why = Loaded::read(&scratch.0.join("step-00000002")).unwrap_err();
    assert_eq!(
        why,
        "share-00000.safetensors: tensor `[0]`: its bytes have another hash than the manifest says"
    );
    assert_eq!(last_whole(&scratch.0).unwrap().unwrap().step, 1);
    fs::remove_file(scratch.0.join("step-00000001").join(MANIFEST)).unwrap();
    assert!(last_whole(&scratch.0).unwrap_err().starts_with("no checkpoint is whole"));
}

#[test]
fn a_share_that_does_not_come_is_missed() {
    let scratch = Scratch::new();
    let folder =
        Folder { path: scratch.0.clone(), disk: Box::new(System), keep_last: 5, keep_every: None, run: 0 };
    let share = |timeout| {
        let builder = Mesh::builder().axes(["batch"]).threads(2).timeout(timeout);
        let share = |w: &Worker| -> Result<_> { Ok(Share::of(w, 1, &Tensor::from(1.0))) };
        builder.build().unwrap().run(share).unwrap()
    };
    let ended = Arc::new(AtomicBool::new(false));
    let late = share(std::time::Duration::from_millis(10)).write(&folder, &ended).unwrap_err();
    assert!(late.to_string().starts_with("worker 1 has not written its share in 0.01 s"), "{late}");
    ended.store(true, Ordering::Relaxed);
    let over = share(std::time::Duration::from_secs(60)).write(&folder, &ended).unwrap_err();
    assert_eq!(over.to_string(), "the run has ended");
}

/// How many damages a run of the tests tries: `AXISGRAD_DAMAGES`, or 500.
fn damages() -> u32 {
    std::env::var("AXISGRAD_DAMAGES").ok().and_then(|count| count.parse().ok()).unwrap_or(500)
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(damages()) })]

    /// A bit that flips, and a file that is cut short: found, or of no account; never a panic.
    #[test]
    fn damage_is_found_or_irrelevant(which in 0usize..2, at in prop::arbitrary::any::<prop::sample::Index>(), bit in 0u8..8, cut: bool) {
        let scratch = Scratch::new();
        save_on(&scratch.0, System, 1).expect("saved");
        let folder = scratch.0.join("step-00000001");
        let whole = Loaded::read(&folder).expect("whole");
        let file = folder.join([MANIFEST, "share-00000.safetensors"][which]);
        let mut bytes = fs::read(&file).expect("the file");
        let at = at.index(bytes.len());
        if cut { bytes.truncate(at) } else { bytes[at] ^= 1 << bit };
        fs::write(&file, bytes).expect("written");
        if let Ok(loaded) = Loaded::read(&folder) {
            prop_assert_eq!(&loaded.tensors[""].1, &whole.tensors[""].1);
            prop_assert_eq!(loaded.step, 1);
        }
    }

    /// Any bytes at all in the place of the manifest are refused.
    #[test]
    fn a_manifest_of_any_bytes_is_refused(text in prop::collection::vec(prop::arbitrary::any::<u8>(), 0..200)) {
        prop_assert!(Manifest::unseal(&text).is_err());
    }
}

/// Python's `safetensors` opens the files, where Python has it (`AXISGRAD_PYTHON`, or `python3`). One tensor is read:
/// the state has bf16 too, which NumPy does not know.
#[test]
fn python_opens_the_files() {
    const SCRIPT: &str = "import sys, safetensors as s\n\
        t = s.safe_open(sys.argv[1], 'numpy').get_tensor('weights[7]')\n\
        print(t.dtype, t.shape, t.tobytes().hex())";
    let python = std::env::var("AXISGRAD_PYTHON").unwrap_or_else(|_| "python3".into());
    let run = |args: &[&str]| std::process::Command::new(&python).args(args).output().ok();
    if !run(&["-c", "import safetensors.numpy"]).is_some_and(|output| output.status.success()) {
        eprintln!("{python} has no safetensors with NumPy: not tried");
        return;
    }
    let scratch = Scratch::new();
    save((1, 1, 1), &scratch.args(), 7);
    let file = scratch.0.join("step-00000001/share-00000.safetensors");
    let output = run(&["-c", SCRIPT, file.to_str().expect("a path")]).expect("python runs");
    let bytes =
        mesh(1, 1, 1).run(|w| -> Result<_> { Ok(State::new(w, 7).weights[7].to_vec::<f32>()) }).unwrap();
    let hex: String = bytes.iter().flat_map(|x| x.to_le_bytes()).map(|byte| format!("{byte:02x}")).collect();
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert_eq!(said.trim(), format!("float32 (5, 3) {hex}"), "{}", String::from_utf8_lossy(&output.stderr));
}
