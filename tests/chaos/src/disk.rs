//! Small file systems of their own for databases, so that they can be full.

use std::{
    fs::File,
    io::Write,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result};
use rustix::mount::{MountFlags, UnmountFlags, mount, unmount};

/// Room for what a run writes, and soon filled.
const SIZE: &std::ffi::CStr = c"size=48m,mode=0700";
const BALLAST: &str = "ballast";

/// A directory for one database; a file system of its own if that was possible. Unmounted when dropped.
pub(crate) struct Disk {
    directory: PathBuf,
    mounted: bool,
}

impl Disk {
    /// Makes the directory, and mounts a small tmpfs there, which takes root.
    pub(crate) fn make(directory: &Path) -> Result<Self> {
        std::fs::create_dir_all(directory)?;
        let mounted = mount(
            "earnest-chaos",
            directory,
            "tmpfs",
            MountFlags::NOATIME,
            SIZE,
        );
        Ok(Self {
            directory: directory.to_owned(),
            mounted: mounted.is_ok(),
        })
    }

    /// Where the database lies.
    pub(crate) fn path(&self) -> &Path {
        &self.directory
    }

    /// Whether it can be full.
    pub(crate) fn is_small(&self) -> bool {
        self.mounted
    }

    /// Leaves not a byte.
    pub(crate) fn fill(&self) -> Result<()> {
        let mut ballast = File::create(self.directory.join(BALLAST))?;
        let block = vec![0x5a; 64 * 1_024];
        let mut size = block.len();
        while size > 0 {
            if ballast.write_all(&block[..size]).is_err() {
                size /= 4;
            }
        }
        Ok(())
    }

    /// Gives the room back.
    pub(crate) fn free(&self) -> Result<()> {
        std::fs::remove_file(self.directory.join(BALLAST)).context("take the ballast off")
    }

    /// Copies what lies there, for people.
    pub(crate) fn keep_in(&self, to: &Path) -> Result<()> {
        for file in std::fs::read_dir(&self.directory)? {
            let file = file?;
            std::fs::copy(file.path(), to.join(file.file_name()))?;
        }
        Ok(())
    }
}

/// Removes a directory of an earlier run with all that is in it, small file systems that were left mounted included.
pub fn clear(directory: &Path) -> Result<()> {
    if !directory.exists() {
        return Ok(());
    }
    for entry in std::fs::read_dir(directory)? {
        let path = entry?.path();
        if path.is_dir() {
            let _is_not_mounted = unmount(&path, UnmountFlags::DETACH);
        }
    }
    std::fs::remove_dir_all(directory)
        .with_context(|| format!("{} can't be removed", directory.display()))
}

impl Drop for Disk {
    fn drop(&mut self) {
        if self.mounted {
            // Whoever still has a file open there keeps it until it ends.
            let _nothing_to_be_done = unmount(&self.directory, UnmountFlags::DETACH);
        }
    }
}
