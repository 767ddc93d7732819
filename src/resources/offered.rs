//! A skill on offer, and the folders that its list of files describes.

use std::{borrow::Cow, collections::BTreeMap, sync::Arc};

use rmcp::model::{DIRECTORY_MIME_TYPE, Resource, SKILL_MD, Skill, SkillResources};

use super::template::decoded;
use crate::{call::registry::Item, oauth::Scopes};

/// What a caller may know of a skill.
#[derive(Debug)]
pub(crate) struct SkillDefinition {
    pub(crate) skill: Skill,
    /// What a token must allow: all of them.
    pub(crate) scopes: Scopes,
    pub(crate) is_of_upstream: bool,
}

/// A skill on offer.
pub(crate) struct Offered {
    definition: Arc<SkillDefinition>,
    uri: Cow<'static, str>,
}

impl Offered {
    pub(crate) fn new(skill: Skill, scopes: Scopes, is_of_upstream: bool) -> Self {
        let uri = skill.uri.clone().into();
        Self { definition: Arc::new(SkillDefinition { skill, scopes, is_of_upstream }), uri }
    }
}

impl Item for Offered {
    type Definition = SkillDefinition;

    fn definition(&self) -> &Arc<SkillDefinition> {
        &self.definition
    }

    fn key(&self) -> &Cow<'static, str> {
        &self.uri
    }

    fn is_of_upstream(&self) -> bool {
        self.definition.is_of_upstream
    }
}

impl SkillDefinition {
    /// Whether a URI is the skill's folder, or below it.
    fn has(&self, uri: &str) -> bool {
        let root = self.skill.uri.strip_suffix(SKILL_MD).and_then(|root| root.strip_suffix('/'));
        let rest = root.and_then(|root| uri.strip_prefix(root));
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    }
}

/// What is directly in a folder of these skills, in the order of the URIs, and what a token must allow for all skills that
/// have it; `None` if none has.
pub(super) fn folder(skills: &[Arc<SkillDefinition>], uri: &str) -> Option<(Vec<Resource>, Scopes)> {
    let (mut children, mut scopes) = (BTreeMap::new(), Scopes::none());
    for skill in skills.iter().filter(|skill| skill.has(uri)) {
        let SkillResources::Files(files) = &skill.skill.resources else { continue };
        let inside = |file: &str| Some(file.strip_prefix(uri)?.strip_prefix('/')?.to_owned());
        let found = files.iter().filter_map(|file| Some((file, inside(&file.uri)?)));
        let before = children.len();
        children.extend(found.map(|(file, path)| {
            let child = match path.split_once('/') {
                Some((name, _)) => {
                    Resource::new(format!("{uri}/{name}"), plain(name)).with_mime_type(DIRECTORY_MIME_TYPE)
                }
                None => Resource::new(&file.uri, plain(&path)).with_size(file.size),
            };
            (child.uri.clone(), child)
        }));
        if children.len() > before {
            scopes = scopes.union(&skill.scopes);
        }
    }
    (!children.is_empty()).then(|| (children.into_values().collect(), scopes))
}

fn plain(name: &str) -> Cow<'_, str> {
    decoded(name).unwrap_or(name.into())
}

#[cfg(test)]
mod tests {
    use rmcp::model::{SkillFrontmatter, SkillResource};

    use super::*;

    fn skill(root: &str, files: &[&str], scope: &str) -> Arc<SkillDefinition> {
        let uri = format!("{root}/SKILL.md");
        let files = files.iter().map(|file| SkillResource::from_bytes(format!("{root}/{file}"), b"x"));
        let files = files.chain([SkillResource::from_bytes(&uri, b"x")]).collect();
        let skill = Skill::new(uri, SkillFrontmatter::new("a", "b"), SkillResources::Files(files));
        Arc::clone(Offered::new(skill, Scopes::parse(scope).unwrap(), false).definition())
    }

    #[test]
    fn a_folder_has_what_the_lists_of_files_say() {
        let skills = [
            skill("skill://a", &["refs/one%20file.md", "refs/deep/x.md"], "a"),
            skill("skill://a/refs", &[], "b"),
            skill("skill://ab", &["y.md"], "c"),
        ];
        let names = |uri: &str| {
            let (children, scopes) = folder(&skills, uri)?;
            Some((children.into_iter().map(|child| child.name).collect::<Vec<_>>().join(", "), scopes.to_string()))
        };
        let found = |names: &str, scopes: &str| Some((names.to_owned(), scopes.to_owned()));
        assert_eq!(names("skill://a"), found("SKILL.md, refs", "a"));
        // A skill within another: what either needs.
        assert_eq!(names("skill://a/refs"), found("SKILL.md, deep, one file.md", "a b"));
        assert_eq!(names("skill://a/refs/deep"), found("x.md", "a"));
        assert_eq!(names("skill://ab"), found("SKILL.md, y.md", "c"));
        for uri in ["skill://", "skill:/", "skill://a/", "skill://a/SKILL.md", "skill://a/re", "skill://b", ""] {
            assert_eq!(names(uri), None, "{uri}");
        }
    }
}
