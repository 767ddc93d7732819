//! Skills of the guarded server (SEP-2640). Their files are resources of it, also those that it lists nowhere else.

use std::{
    collections::{BTreeMap, HashSet},
    sync::Arc,
};

use rmcp::model::{Resource, Skill, SkillResources};

use super::{
    Offer,
    fetch::MAX_ITEMS,
    thing::{Thing, With, is_plain, json},
};
use crate::{
    oauth::Scopes,
    resources::{Described, Offered},
    said::without_deception_in,
    telemetry::audit::Event,
};

impl Thing for Skill {
    type Entry = Offered;

    const KIND: &'static str = "skill";

    fn key(&self) -> &str {
        &self.uri
    }

    fn reads(&self) -> bool {
        true
    }

    fn written(&self) -> Vec<u8> {
        json(self)
    }

    /// A frontmatter that is changed by this is none of its `SKILL.md` any more, and clients will say so.
    fn cleaned(mut self) -> Self {
        let mut frontmatter = serde_json::to_value(&self.frontmatter).expect("it came as JSON");
        without_deception_in(&mut frontmatter);
        if let Ok(frontmatter) = serde_json::from_value(frontmatter) {
            self.frontmatter = frontmatter;
        }
        self
    }

    fn entry(self, scopes: Scopes, _: &With<'_>) -> Result<Offered, String> {
        is_good(&self)?;
        Ok(Offered::new(self, scopes, true))
    }

    fn changed<'a>(upstream: &'a str, uri: &'a str, before: &'a str, after: &'a str) -> Event<'a> {
        Event::UpstreamSkillChanged { upstream, uri, before, after }
    }

    fn serve(offer: &Offer, entries: Vec<Arc<Offered>>) -> Vec<Arc<Offered>> {
        offer.resources.replace_upstream_skills(entries)
    }
}

/// # Errors
/// It breaks a rule of SEP-2640, such as that its files are within its own folder, or has a URI that is none.
fn is_good(skill: &Skill) -> Result<(), String> {
    skill.validate().map_err(|error| error.to_string())?;
    files(skill).try_for_each(|(uri, _)| is_plain(uri))?;
    is_plain(&skill.uri)
}

/// What it lists, by URI and size. A skill that is made anew for each reader lists nothing, and has its `SKILL.md` alone.
fn files(skill: &Skill) -> impl Iterator<Item = (&str, u64)> {
    let listed = match &skill.resources {
        SkillResources::Files(files) => files.as_slice(),
        _ => &[],
    };
    listed.iter().map(|file| (&*file.uri, file.size))
}

/// What is listed, with word of which resources are files of skills, and behind it the files that are not listed.
pub(super) fn with_files(listed: Vec<Described>, skills: &[Skill]) -> Vec<Described> {
    let mut owners: BTreeMap<&str, (Option<u64>, Vec<String>)> = BTreeMap::new();
    for skill in skills.iter().take(MAX_ITEMS).filter(|skill| is_good(skill).is_ok()) {
        for (uri, size) in files(skill) {
            let (known, owners) = owners.entry(uri).or_default();
            *known = Some(size);
            owners.push(skill.uri.clone());
        }
        if files(skill).next().is_none() {
            owners.entry(&skill.uri).or_default().1.push(skill.uri.clone());
        }
    }
    let mut known = HashSet::new();
    let mut all = Vec::new();
    for described in listed {
        all.push(match described {
            Described::Resource(resource) if let Some((_, skills)) = owners.get(&*resource.uri) => {
                known.insert(resource.uri.clone());
                Described::File { resource, skills: skills.clone(), is_listed: true }
            }
            other => other,
        });
    }
    let others = owners.iter().filter(|(uri, _)| !known.contains(**uri)).map(|(uri, (size, skills))| {
        let name = uri.rsplit_once('/').map_or(*uri, |(_, name)| name);
        let mut resource = Resource::new(*uri, name);
        resource.size = *size;
        Described::File { resource, skills: skills.clone(), is_listed: false }
    });
    all.extend(others.take(MAX_ITEMS));
    all
}

#[cfg(test)]
mod tests {
    use rmcp::model::{SkillFrontmatter, SkillResource};

    use super::*;

    fn skill(name: &str, files: &[&str]) -> Skill {
        let uri = format!("skill://{name}/SKILL.md");
        let files = files.iter().map(|uri| SkillResource::from_bytes(*uri, b"x"));
        let files = files.chain([SkillResource::from_bytes(&uri, b"x")]).collect();
        let name = name.rsplit('/').next().unwrap_or_default();
        Skill::new(uri, SkillFrontmatter::new(name, "Does it."), SkillResources::Files(files))
    }

    fn told(resources: Vec<Resource>, skills: &[Skill]) -> Vec<String> {
        let resources = resources.into_iter().map(Described::Resource).collect();
        let told = with_files(resources, skills).into_iter().map(|described| match described {
            Described::File { resource, skills, is_listed } => {
                format!("{} {} {is_listed}", resource.uri, skills.join(" "))
            }
            other => other.key().to_owned(),
        });
        told.collect()
    }

    #[test]
    fn files_belong_to_all_skills_that_have_them() {
        let skills = [skill("a", &["skill://a/x", "skill://a/b/SKILL.md"]), skill("a/b", &[])];
        let resources = vec![Resource::new("notes://1", "1"), Resource::new("skill://a/SKILL.md", "a")];
        let expected = [
            "notes://1",
            "skill://a/SKILL.md skill://a/SKILL.md true",
            "skill://a/b/SKILL.md skill://a/SKILL.md skill://a/b/SKILL.md false",
            "skill://a/x skill://a/SKILL.md false",
        ];
        assert_eq!(told(resources, &skills), expected);
        let mut made_anew = skill("a", &[]);
        made_anew.resources = SkillResources::Dynamic;
        assert_eq!(told(Vec::new(), &[made_anew]), ["skill://a/SKILL.md skill://a/SKILL.md false"]);
    }

    #[test]
    fn a_skill_has_no_files_but_its_own() {
        for file in
            ["file:///etc/passwd", "skill://b/x", "skill://a/../b/x", "skill://a/%2e%2e/x", "skill://a/x\u{202e}y"]
        {
            let bad = skill("a", &[file]);
            assert!(is_good(&bad).is_err(), "{file}");
            assert!(told(Vec::new(), &[bad]).is_empty(), "{file}");
        }
        assert!(is_good(&skill("a", &["skill://a/x"])).is_ok(), "the twin");
    }

    #[test]
    fn what_deceives_is_taken_out_of_a_frontmatter() {
        let mut deceiving = skill("a", &[]);
        deceiving.frontmatter = SkillFrontmatter::new("a", "Does\u{202e} it.").with_field("x", "\u{1b}[31m");
        let cleaned = deceiving.cleaned().frontmatter;
        assert_eq!(cleaned, SkillFrontmatter::new("a", "Does it.").with_field("x", "[31m"));
    }
}
