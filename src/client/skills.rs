//! Skills that a server offers (SEP-2640): nothing of one is handed on before it was compared with what the server said of
//! it, since a model does what a skill says.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use rmcp::model::{
    ReadResourceResult, ResourceContents, ServerCapabilities, Skill, SkillIntegrityError, SkillResources,
    SkillValidationError, validate_skills,
};
use serde_json::Value;

use super::{ClientError, Session, error::said};
use crate::{hint::Hint, json::is_deeper_than};

/// Deepest nesting of a frontmatter.
const MAX_DEPTH: usize = 32;

/// Why a skill, or a file of one, is not used.
#[derive(Debug, thiserror::Error)]
pub enum SkillError {
    /// The server's list contradicts itself.
    #[error("the server describes its skills wrongly: {0}")]
    Listed(String),
    /// Another content than was listed.
    #[error("the server sent another file than it has listed: {0}")]
    Changed(String),
    /// The skill says something else of itself than its entry in the list.
    #[error("skill `{uri}` says something else of itself than the server does: `{field}` differs in its frontmatter")]
    OtherFrontmatter {
        /// Which skill, escaped and capped.
        uri: String,
        /// The first field that differs, escaped and capped.
        field: String,
    },
    /// No frontmatter at all, or none that can be read.
    #[error("skill `{uri}` has no frontmatter that can be read: {problem}")]
    NoFrontmatter {
        /// Which skill, escaped and capped.
        uri: String,
        /// Why.
        problem: String,
    },
    /// It is none of the skill's files.
    #[error("skill `{uri}` has no file `{file}`")]
    NoFile {
        /// Which skill, escaped and capped.
        uri: String,
        /// What was asked for, escaped and capped.
        file: String,
    },
}

impl Hint for SkillError {
    fn hint(&self) -> Option<String> {
        Some(match self {
            Self::NoFile { .. } => "see its files with `securemcp skill list --output json`".to_owned(),
            _ => "do not use it: whoever runs the server has to say what is right".to_owned(),
        })
    }
}

impl Session {
    /// Every skill of the server, page by page. None of their files is read.
    pub async fn list_skills(&self) -> Result<Vec<Skill>, ClientError> {
        self.offers("skills", ServerCapabilities::supports_skills).await?;
        let skills = self.ask((), |open, ()| Box::pin(async move { open.running.list_all_skills().await })).await?;
        validate_skills(&skills).map_err(|error: SkillValidationError| SkillError::Listed(said(&error.to_string())))?;
        Ok(skills)
    }

    /// The text of a skill, its `SKILL.md`.
    ///
    /// # Errors
    /// [`ClientError::Skill`] if its size, digest or frontmatter is not what the list says.
    pub async fn read_skill(&self, skill: &Skill) -> Result<String, ClientError> {
        let bytes = self.read_skill_file(skill, &skill.uri).await?;
        let text = String::from_utf8(bytes).map_err(|_| no_frontmatter(skill, "it is not UTF-8"))?;
        compare(skill, &text)?;
        Ok(text)
    }

    /// One of a skill's files, by its URI.
    ///
    /// # Errors
    /// [`ClientError::Skill`] if it is none of them, or its size or digest is not what the list says.
    pub async fn read_skill_file(&self, skill: &Skill, uri: &str) -> Result<Vec<u8>, ClientError> {
        let no_file = || SkillError::NoFile { uri: said(&skill.uri), file: said(uri) };
        let listed = match &skill.resources {
            SkillResources::Files(files) => Some(files.iter().find(|file| file.uri == uri).ok_or_else(no_file)?),
            // The server makes such a skill anew for each reader, and says so: there is nothing to compare.
            _ => None,
        };
        let bytes = content(self.read_resource(uri).await?, uri).ok_or_else(no_file)?;
        if let Some(file) = listed {
            let changed = |error: SkillIntegrityError| SkillError::Changed(said(&error.to_string()));
            file.verify(&bytes).map_err(changed)?;
        }
        Ok(bytes)
    }
}

/// The one content that was asked for.
fn content(result: ReadResourceResult, asked: &str) -> Option<Vec<u8>> {
    let mut contents = result.contents.into_iter();
    let (Some(only), None) = (contents.next(), contents.next()) else { return None };
    match only {
        ResourceContents::TextResourceContents { uri, text, .. } if uri == asked => Some(text.into_bytes()),
        ResourceContents::BlobResourceContents { uri, blob, .. } if uri == asked => STANDARD.decode(blob).ok(),
        _ => None,
    }
}

/// Field by field, both ways.
fn compare(skill: &Skill, text: &str) -> Result<(), SkillError> {
    let found = frontmatter(text).map_err(|problem| no_frontmatter(skill, problem))?;
    let listed = serde_json::to_value(&skill.frontmatter).unwrap_or_default();
    let (Value::Object(found), Value::Object(listed)) = (found, listed) else {
        return Err(no_frontmatter(skill, "it is no mapping"));
    };
    let names = listed.keys().chain(found.keys());
    match names.into_iter().find(|name| listed.get(*name) != found.get(*name)) {
        Some(name) => Err(SkillError::OtherFrontmatter { uri: said(&skill.uri), field: said(name) }),
        None => Ok(()),
    }
}

/// What stands between the first line, `---`, and the next such line.
fn frontmatter(text: &str) -> Result<Value, &'static str> {
    let rest = text.strip_prefix("---").and_then(|rest| rest.trim_start_matches('\r').strip_prefix('\n'));
    let rest = rest.ok_or("its first line is not `---`")?;
    let mut length = 0;
    let end = rest.split_inclusive('\n').find_map(|line| {
        let start = length;
        length += line.len();
        (line.trim_end() == "---").then_some(start)
    });
    let yaml = &rest[..end.ok_or("there is no second line `---`")?];
    let value: Value = yaml_serde::from_str(yaml).map_err(|_| "it is not YAML")?;
    let is_deep = is_deeper_than(MAX_DEPTH, value.to_string().as_bytes());
    if is_deep { Err("it is nested too deep") } else { Ok(value) }
}

fn no_frontmatter(skill: &Skill, problem: &str) -> SkillError {
    SkillError::NoFrontmatter { uri: said(&skill.uri), problem: problem.to_owned() }
}

#[cfg(test)]
mod tests {
    use rmcp::model::{SkillFrontmatter, SkillResource};
    use serde_json::json;

    use super::*;
    use crate::client::{Host, testing::World};

    const URI: &str = "skill://forms/SKILL.md";
    const FILE: &str = "skill://forms/references/FORMS.md";
    const TEXT: &str = "---\nname: forms\ndescription: Fills forms\n---\n\nFill them.\n";

    fn skill() -> Skill {
        let files = vec![SkillResource::from_bytes(URI, TEXT.as_bytes()), SkillResource::from_bytes(FILE, b"forms")];
        Skill::new(URI, SkillFrontmatter::new("forms", "Fills forms"), SkillResources::Files(files))
    }

    async fn world() -> World {
        let world = World::new().await;
        world.change(|rules| {
            rules.skills = Some(json!([skill()]));
            rules.resources.insert(URI.to_owned(), json!({"uri": URI, "text": TEXT}));
            rules.resources.insert(FILE.to_owned(), json!({"uri": FILE, "blob": STANDARD.encode("forms")}));
        });
        world
    }

    async fn refused(world: &World) -> SkillError {
        let session = world.client().connect(Host::default()).await.unwrap();
        let skill = session.list_skills().await.unwrap().remove(0);
        let error = session.read_skill(&skill).await.unwrap_err();
        session.close().await;
        match error {
            ClientError::Skill(error) => error,
            other => panic!("{other}"),
        }
    }

    #[tokio::test]
    async fn a_skill_is_read_when_it_is_asked_for_and_not_before() {
        let world = world().await;
        let session = world.client().connect(Host::default()).await.unwrap();
        let skills = session.list_skills().await.unwrap();
        assert!(!world.whats().contains(&"POST /mcp resources/read".to_owned()));
        assert_eq!(session.read_skill(&skills[0]).await.unwrap(), TEXT);
        assert_eq!(session.read_skill_file(&skills[0], FILE).await.unwrap(), b"forms");
        let error = session.read_skill_file(&skills[0], "file:///etc/passwd").await.unwrap_err();
        assert!(error.to_string().contains("has no file"), "{error}");
        session.close().await;
        let reads = world.whats().iter().filter(|what| *what == "POST /mcp resources/read").count();
        assert_eq!(reads, 2);
    }

    #[tokio::test]
    async fn another_file_than_was_listed_is_not_handed_on() {
        let world = world().await;
        for text in [TEXT.replace("Fill", "Kill"), format!("{TEXT}And then some.\n")] {
            world.change(|rules| drop(rules.resources.insert(URI.to_owned(), json!({"uri": URI, "text": text}))));
            assert!(matches!(refused(&world).await, SkillError::Changed(_)), "{text}");
        }
        let other = json!({"uri": FILE, "text": TEXT});
        world.change(|rules| drop(rules.resources.insert(URI.to_owned(), other)));
        assert!(matches!(refused(&world).await, SkillError::NoFile { .. }), "an answer about another file");
    }

    #[tokio::test]
    async fn a_skill_that_says_something_else_of_itself_is_not_handed_on() {
        let world = world().await;
        for (frontmatter, problem) in [
            ("name: forms\ndescription: Steals forms", "`description` differs"),
            ("name: forms\ndescription: Fills forms\nallowed-tools: all", "`allowed-tools` differs"),
            ("name: forms", "`description` differs"),
            ("- name", "it is no mapping"),
            ("name: [", "it is not YAML"),
        ] {
            let text = format!("---\n{frontmatter}\n---\nFill them.\n");
            let mut listed = skill();
            listed.resources = SkillResources::Files(vec![SkillResource::from_bytes(URI, text.as_bytes())]);
            world.change(|rules| {
                rules.skills = Some(json!([listed]));
                rules.resources.insert(URI.to_owned(), json!({"uri": URI, "text": text}));
            });
            let error = refused(&world).await;
            assert!(error.to_string().contains(problem), "{error}");
        }
    }

    #[tokio::test]
    async fn a_list_that_contradicts_itself_is_no_list() {
        let world = world().await;
        let mut listed = skill();
        listed.resources = SkillResources::Files(vec![SkillResource::from_bytes("file:///etc/passwd", b"x")]);
        world.change(|rules| rules.skills = Some(json!([listed])));
        let session = world.client().connect(Host::default()).await.unwrap();
        assert!(matches!(session.list_skills().await, Err(ClientError::Skill(SkillError::Listed(_)))));
        session.close().await;
        let world = World::new().await;
        let session = world.client().connect(Host::default()).await.unwrap();
        assert!(session.list_skills().await.unwrap_err().to_string().contains("has no skills"));
        session.close().await;
    }

    #[test]
    fn a_frontmatter_ends_at_its_own_line() {
        let good = "---\r\nname: a\r\nnote: '--- no end'\r\n---\r\nrest\n---\n";
        assert_eq!(frontmatter(good).unwrap(), json!({"name": "a", "note": "--- no end"}));
        assert_eq!(frontmatter("---\nname: a\n---").unwrap(), json!({"name": "a"}));
        for bad in ["", "name: a\n", "---\nname: a\n", " ---\nname: a\n---\n", "---x\nname: a\n---\n"] {
            assert!(frontmatter(bad).is_err(), "{bad}");
        }
        let bomb = format!(
            "a0: &a0 [x, x]\n{}",
            (1..40).fold(String::new(), |text, n| {
                format!("{text}a{n}: &a{n} [*a{}, *a{}, *a{}]\n", n - 1, n - 1, n - 1)
            })
        );
        assert!(frontmatter(&format!("---\n{bomb}---\n")).is_err());
        let deep = format!("a: {}{}\n", "[".repeat(100), "]".repeat(100));
        assert!(frontmatter(&format!("---\n{deep}---\n")).is_err());
    }
}
