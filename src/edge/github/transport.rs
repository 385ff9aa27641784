//! octocrab on our own connections: its default client repeats requests that failed, waits for ever,
//! reads answers of any size and follows redirects to other hosts.

use super::PEER;
use crate::edge::error::{EdgeError, EdgeErrorKind};
use crate::edge::http::causes;
use http::{Request, Response};
use http_body_util::{BodyExt as _, Limited};
use octocrab::{AuthState, OctoBody, Octocrab, OctocrabBuilder};
use reqwest::{Url, redirect};
use std::time::Duration;
use tower::BoxError;

/// How long a connection may take, and an exchange as a whole.
const CONNECT: Duration = Duration::from_secs(5);
pub(super) const TOTAL: Duration = Duration::from_secs(20);
/// Most bytes of a body in either direction.
pub(super) const BODY_BYTES: usize = 12 << 20;

/// octocrab for the API at `base`, which may have a path prefix. Nothing is repeated, no redirect is
/// followed, and every body has an end.
///
/// # Errors
/// [`EdgeErrorKind::Invalid`] when no client can be built.
pub(super) fn octocrab(base: Url) -> Result<Octocrab, EdgeError> {
    let client = reqwest::Client::builder()
        .connect_timeout(CONNECT)
        .user_agent(concat!("firewarden/", env!("CARGO_PKG_VERSION")))
        .redirect(redirect::Policy::none())
        .build();
    let client = client.map_err(|e| {
        let text = format!("its client cannot be built: {}", causes(&e.without_url()));
        EdgeError::new(PEER, EdgeErrorKind::Invalid, text)
    })?;
    let service = tower::service_fn(move |request| exchange(client.clone(), base.clone(), request));
    let Ok(octocrab) = OctocrabBuilder::new_empty().with_service(service).with_auth(AuthState::None).build();
    Ok(octocrab)
}

async fn exchange(
    client: reqwest::Client,
    base: Url,
    request: Request<OctoBody>,
) -> Result<Response<Limited<reqwest::Body>>, BoxError> {
    let (mut parts, body) = request.into_parts();
    parts.uri = below(base, &parts.uri).as_str().parse()?;
    let body = Limited::new(body, BODY_BYTES).collect().await?.to_bytes();
    let mut request = reqwest::Request::try_from(Request::from_parts(parts, body))?;
    *request.timeout_mut() = Some(TOTAL);
    let response = client.execute(request).await.map_err(reqwest::Error::without_url)?;
    Ok(Response::from(response).map(|body| Limited::new(body, BODY_BYTES)))
}

/// The address of `asked`, a path with a query, below `base`: whatever host it may name.
fn below(mut base: Url, asked: &http::Uri) -> Url {
    let path = format!("{}{}", base.path().trim_end_matches('/'), asked.path());
    base.set_path(&path);
    base.set_query(asked.query());
    base
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prefix_stays_and_no_request_leaves_the_host() {
        for (base, asked, expected) in [
            (
                "https://api.github.com",
                "/repos/a/b/contents/x%20y?ref=m",
                "https://api.github.com/repos/a/b/contents/x%20y?ref=m",
            ),
            ("https://ghe.corp/api/v3/", "/user", "https://ghe.corp/api/v3/user"),
            ("https://ghe.corp/api/v3", "/api/v3x", "https://ghe.corp/api/v3/api/v3x"),
            ("https://ghe.corp/api/v3", "https://evil.example/user?x=1", "https://ghe.corp/api/v3/user?x=1"),
        ] {
            assert_eq!(below(base.parse().unwrap(), &asked.parse().unwrap()).as_str(), expected);
        }
    }
}
