//! What an export is made of: named files.

use std::fs::File;
use std::io::{self, BufRead, BufReader};
use std::path::{Path, PathBuf};

/// Folders in folders that are looked into.
const DEEP: usize = 4;

/// Named files.
pub trait Files: Sync {
    /// All names, sorted, with `/` between their parts.
    ///
    /// # Errors
    /// When they cannot be listed.
    fn names(&self) -> io::Result<Vec<String>>;

    /// The file called `name`, if there is one.
    ///
    /// # Errors
    /// When it cannot be opened.
    fn open(&self, name: &str) -> io::Result<Option<Box<dyn BufRead + Send + '_>>>;
}

/// A folder.
#[derive(Debug)]
pub struct Folder(pub PathBuf);

impl Files for Folder {
    fn names(&self) -> io::Result<Vec<String>> {
        let mut names = vec![];
        list(&self.0, "", DEEP, &mut names)?;
        names.sort_unstable();
        Ok(names)
    }

    fn open(&self, name: &str) -> io::Result<Option<Box<dyn BufRead + Send + '_>>> {
        match File::open(self.0.join(name)) {
            Ok(file) => Ok(Some(Box::new(BufReader::new(file)))),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }
}

fn list(folder: &Path, prefix: &str, deep: usize, names: &mut Vec<String>) -> io::Result<()> {
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        let name = format!("{prefix}{}", entry.file_name().to_string_lossy());
        // A link is listed as what it is, and nothing that we wrote.
        match entry.file_type()?.is_dir() && deep > 0 {
            true => list(&entry.path(), &format!("{name}/"), deep - 1, names)?,
            false => names.push(name),
        }
    }
    Ok(())
}
