//! Skills (SEP-2640): folders of files that teach a model to do something, offered as resources.

use std::{collections::BTreeMap, io, path::PathBuf, sync::Arc, time::Duration};

use rmcp::{
    handler::server::skill_catalog::{SkillCatalog, SkillCatalogError},
    model::{self, ReadResourceResult, SKILL_MD},
};

use super::{Definition, Offered, Readable, Requested, ResourceError};
use crate::{
    call::{Begun, BoxFuture, CallContext, Kind, rules},
    oauth::Scopes,
};

/// How many files the skills of one folder have at most: one answer describes them all, and they are kept in memory.
const MAX_FILES: usize = 4_096;

/// Why the skills of a folder are not offered.
#[derive(Debug, thiserror::Error)]
pub enum SkillsError {
    /// The folder is not there, is none, or cannot be read.
    #[error("the folder of skills `{}` cannot be read", .folder.display())]
    Unreadable {
        /// The folder.
        folder: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// There is more in it than one list can describe.
    #[error("the skills in `{}` have {found} files, expected at most {MAX_FILES}", .folder.display())]
    TooMany {
        /// The folder.
        folder: PathBuf,
        /// How many there are.
        found: usize,
    },
}

/// The skills of a folder, for [`Resources::with_skills`](super::Resources::with_skills).
///
/// Each folder in it that has a `SKILL.md`, at whatever depth, is a skill; the URI of each of its files is `skill://` and
/// the path. They are read once: what changes on the disk is served after the next start.
///
/// A skill that breaks a rule of SEP-2640 is left out, and the log says why: its folder's name is not the `name` of its
/// frontmatter, it has more than 512 files or 16 MiB, or something in it is neither file nor folder. So no link is
/// followed, wherever it points. What begins with `.` is not served either.
pub struct Skills {
    scopes: Scopes,
    /// Has the bytes of the files.
    catalog: Arc<SkillCatalog>,
    /// By URI: every file, and whether it is the `SKILL.md` of a skill.
    files: BTreeMap<String, (model::Resource, bool)>,
}

impl Skills {
    /// Reads the skills of a folder, for callers whose token allows all of these scopes; with none, for every authenticated
    /// caller. What a skill says of itself is shown to the others too, as resources are listed.
    ///
    /// # Errors
    /// [`SkillsError`]: the folder cannot be read, or there is too much in it.
    ///
    /// # Panics
    /// If a scope is none: a mistake in a program.
    pub fn from_dir(folder: impl Into<PathBuf>, scopes: &[&str]) -> Result<Self, SkillsError> {
        let folder = folder.into();
        let scopes = rules::scopes_of(Kind::Resource, "skill://", scopes);
        let catalog = SkillCatalog::from_dir(&folder).map_err(|error| {
            let source = match error {
                SkillCatalogError::Io { source, .. } => source,
                other => io::Error::other(other),
            };
            SkillsError::Unreadable { folder: folder.clone(), source }
        })?;
        let files = files_of(&catalog);
        if files.len() > MAX_FILES {
            return Err(SkillsError::TooMany { folder, found: files.len() });
        }
        Ok(Self { scopes, catalog: Arc::new(catalog), files })
    }

    /// In the order of their URIs.
    pub(super) fn offered(&self) -> impl Iterator<Item = Offered> {
        self.catalog.skills().into_iter().map(|skill| Offered::new(skill, self.scopes.clone(), false))
    }

    /// Every file as a resource. Only the `SKILL.md` of a skill is listed among the resources: the others are in its entry.
    pub(super) fn into_files(self) -> impl Iterator<Item = (Definition, SkillFile)> {
        let Self { scopes, catalog, files } = self;
        files.into_values().map(move |(resource, is_listed)| {
            let definition = Definition {
                uri: resource.uri.into(),
                is_template: false,
                is_listed,
                name: resource.name.into(),
                title: None,
                description: resource.description.unwrap_or_default().into(),
                mime_type: resource.mime_type.map(Into::into),
                scopes: scopes.clone(),
                asks: false,
                logs: false,
                completes: false,
                ttl: Duration::ZERO,
                is_public: true,
                upstream: None,
            };
            (definition, SkillFile(Arc::clone(&catalog)))
        })
    }
}

/// Every file of the skills, and whether it is the `SKILL.md` of one.
fn files_of(catalog: &SkillCatalog) -> BTreeMap<String, (model::Resource, bool)> {
    let mut files = BTreeMap::new();
    let mut waiting: Vec<_> = catalog.resources().iter().filter_map(root).collect();
    while let Some(folder) = waiting.pop() {
        for child in catalog.read_resource_directory(&folder).map(|found| found.resources).unwrap_or_default() {
            if child.is_directory() {
                waiting.push(child.uri);
            } else {
                files.insert(child.uri.clone(), (child, false));
            }
        }
    }
    // As a skill describes itself, and not by the name of the file.
    files.extend(catalog.resources().into_iter().map(|skill| (skill.uri.clone(), (skill, true))));
    files
}

fn root(skill: &model::Resource) -> Option<String> {
    skill.uri.strip_suffix(SKILL_MD)?.strip_suffix('/').map(str::to_owned)
}

/// A file of a skill: the bytes that its entry describes, whatever has become of them on the disk.
pub(super) struct SkillFile(Arc<SkillCatalog>);

impl Readable for SkillFile {
    fn read<'a>(
        &'a self,
        requested: &'a Requested<'a>,
        definition: &'a Definition,
        _: &'a CallContext,
    ) -> BoxFuture<'a, Result<ReadResourceResult, ResourceError>> {
        let found = self.0.read_resource(requested.uri).ok_or(ResourceError::NotFound);
        Box::pin(std::future::ready(found.map(|found| definition.result(found.contents))))
    }

    fn complete<'a>(&'a self, _: &'a Begun, _: &'a CallContext) -> BoxFuture<'a, Vec<String>> {
        Box::pin(std::future::ready(Vec::new()))
    }
}

#[cfg(test)]
mod tests {
    use std::{error::Error as _, fs};

    use super::*;

    /// A folder of so many skills of 512 files.
    fn folder(skills: usize) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        for skill in 0..skills {
            let path = folder.path().join(format!("s{skill}"));
            fs::create_dir(&path).unwrap();
            fs::write(path.join(SKILL_MD), format!("---\nname: s{skill}\ndescription: One.\n---\n")).unwrap();
            for file in 1..512 {
                fs::write(path.join(format!("{file}.txt")), "x").unwrap();
            }
        }
        folder
    }

    #[test]
    fn one_folder_has_4096_files_at_most() {
        let of = |skills: usize| Skills::from_dir(folder(skills).path(), &[]).map(|skills| skills.into_files().count());
        assert_eq!(of(8).unwrap(), 4_096);
        let error = of(9).unwrap_err().to_string();
        assert!(error.ends_with("have 4608 files, expected at most 4096"), "{error}");
    }

    #[test]
    fn a_folder_that_is_not_there_is_named_with_the_reason() {
        let error = Skills::from_dir("/nowhere/skills", &[]).map(|_| ()).unwrap_err();
        assert_eq!(error.to_string(), "the folder of skills `/nowhere/skills` cannot be read");
        assert!(error.source().unwrap().to_string().contains("No such file"), "{error:?}");
    }
}
