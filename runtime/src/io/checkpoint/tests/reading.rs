//! A disk that says it has written more than it has, and one that cannot be read.

use super::*;

/// A disk that writes half of its `short`th file, and says nothing.
struct Short {
    short: usize,
    written: AtomicUsize,
}

impl Disk for Short {
    fn create_dir(&self, path: &Path) -> IoResult<()> {
        System.create_dir(path)
    }

    fn write(&self, path: &Path, bytes: &[u8]) -> IoResult<()> {
        let short = self.written.fetch_add(1, Ordering::Relaxed) == self.short;
        System.write(path, if short { &bytes[..bytes.len() / 2] } else { bytes })
    }

    fn rename(&self, from: &Path, to: &Path) -> IoResult<()> {
        System.rename(from, to)
    }

    fn sync_dir(&self, path: &Path) -> IoResult<()> {
        System.sync_dir(path)
    }

    fn remove_dir(&self, path: &Path) -> IoResult<()> {
        System.remove_dir(path)
    }
}

/// Data, receipt, manifest: whichever is short, the checkpoint before it is used, or this one is whole.
#[test]
fn a_short_write_that_nobody_reports_is_found() {
    let mut published = 0;
    for short in 0..4 {
        let scratch = Scratch::new();
        save_on(&scratch.0, System, 3).expect("the first save");
        let folder = Folder {
            path: scratch.0.clone(),
            disk: Box::new(Short { short, written: AtomicUsize::new(0) }),
            keep_last: 2,
            keep_every: None,
            run: 5,
        };
        let share = mesh(1, 1, 1).run(|w| -> Result<_> { Ok(Share::of(w, 5, &Tensor::from([5.0; 9]))) });
        let saved = share.expect("a share").write(&folder, &AtomicBool::new(false));
        published += usize::from(saved.is_ok());
        let loaded = last_whole(&scratch.0).expect("readable").expect("there is one");
        assert_eq!(loaded.step, if short == 3 { 5 } else { 3 }, "short write {short}: {saved:?}");
    }
    // A save has three files; a receipt that is short ends it.
    assert_eq!(published, 3);
}

/// A file whose blocks the disk cannot read any more: here one of the system's own, for which reading is `EIO`.
#[cfg(target_os = "linux")]
#[test]
fn a_file_that_cannot_be_read_is_named_and_the_checkpoint_before_it_is_used() {
    for file in [MANIFEST, "share-00000.safetensors"] {
        let scratch = Scratch::new();
        let two = RunArgs { keep_last: 2, ..scratch.args() };
        let train = |w: &Worker| -> Result<()> {
            let (mut run, mut x) = two.open(w, Tensor::from(1.0))?;
            while run.steps() < 2 {
                x = &x * 2.0;
                run.step(&x)?;
            }
            run.finish(&x)
        };
        mesh(2, 1, 1).run(train).expect("saved");
        let last = scratch.0.join("step-00000002");
        fs::remove_file(last.join(file)).expect("removed");
        std::os::unix::fs::symlink("/proc/self/mem", last.join(file)).expect("linked");
        let why = Loaded::read(&last).expect_err("it cannot be read");
        assert_eq!(why, format!("{file}: Input/output error (os error 5)"));
        let resumed = mesh(3, 1, 1).run(|w| -> Result<_> {
            let (run, x) = scratch.resuming().open(w, Tensor::from(0.0))?;
            Ok((run.steps(), x.item::<f64>()))
        });
        assert_eq!(resumed.expect("the first one is whole"), (1, 2.0));
        assert!(
            fs::read_dir(&scratch.0)
                .expect("names")
                .flatten()
                .any(|entry| { entry.file_name().to_string_lossy().starts_with("damaged-") })
        );
    }
}
