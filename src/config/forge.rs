//! The keys of repositories, as serde sees them; a part of [`super::file`].

use super::secret::Reference;
use serde::{Deserialize, Serialize};

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Github {
    pub token: Option<Reference>,
    pub app: Option<GithubApp>,
    pub base_url: Option<String>,
    pub repos: Vec<String>,
    pub write: bool,
    pub writer: GithubWriter,
}

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct GithubWriter {
    pub token: Option<Reference>,
    pub app: Option<GithubApp>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct GithubApp {
    #[serde(deserialize_with = "text_or_number")]
    pub id: String,
    pub private_key: Reference,
}

/// The id of an App is a number, its client id a text; either will do.
fn text_or_number<'de, D: serde::Deserializer<'de>>(d: D) -> Result<String, D::Error> {
    struct Either;
    impl serde::de::Visitor<'_> for Either {
        type Value = String;

        fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            f.write_str("a text or a number")
        }

        fn visit_str<E>(self, text: &str) -> Result<String, E> {
            Ok(text.to_owned())
        }

        fn visit_u64<E>(self, number: u64) -> Result<String, E> {
            Ok(number.to_string())
        }

        fn visit_i64<E>(self, number: i64) -> Result<String, E> {
            Ok(number.to_string())
        }
    }
    d.deserialize_any(Either)
}
