//! Credentials, from the configuration to those who ask for them.

use crate::config::Config;
use crate::http::{Access, AccessToken};

/// All credentials of `config`.
pub(super) fn access(config: &Config) -> Access {
    use crate::config::Role as Configured;
    use crate::http::Role;
    let tokens = config.access.iter();
    Access {
        intake: config.intake.tokens.clone(),
        tokens: tokens
            .map(|t| AccessToken {
                name: t.name.clone(),
                role: match t.role {
                    Configured::Viewer => Role::Viewer,
                    Configured::Operator => Role::Operator,
                    Configured::Approver => Role::Approver,
                    Configured::Admin => Role::Admin,
                },
                groups: t.groups.clone(),
                token: t.token.clone(),
            })
            .collect(),
    }
}
