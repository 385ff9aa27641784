//! Questions to people, and their answers. An answer is judged by the row that the store shows and by
//! the answers that wait already, and is left as a durable signal; whether it counts, the engine
//! decides once more from the journal.

use super::params::Params;
use super::{Approver, Problem, Viewer, Web, body};
use crate::domain::{ApprovalId, ApprovalState, InvestigationId, Person};
use crate::journal::ApprovalView;
use crate::sources::{clean::clean_text, read_json};
use crate::store::{ApprovalFilter, Page, Signal, StoreError};
use axum::Json;
use axum::body::Body as HttpBody;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use jiff::Timestamp;
use serde_json::{Value, json};
use std::sync::Arc;

/// Largest body of an answer.
const MAX_BODY: usize = 64 << 10;
/// Longest comment, in characters.
const MAX_COMMENT: usize = 1_000;

/// What somebody answers.
struct Answer {
    granted: bool,
    /// What it answers to, as it was given; `None` is what the row says.
    digest: Option<String>,
    comment: String,
}

/// `GET /api/v1/approvals?state=&investigation=&limit=&cursor=`.
pub(super) async fn list(
    State(web): State<Arc<Web>>,
    _: Viewer,
    params: Params,
) -> Result<Json<Page<ApprovalView>>, Problem> {
    let params = params.only(&["state", "investigation", "limit", "cursor"])?;
    Ok(Json(web.store.approvals(&filter(&params, "investigation")?).await?))
}

/// `GET /api/v1/approvals/{id}`.
pub(super) async fn show(
    State(web): State<Arc<Web>>,
    _: Viewer,
    Path(id): Path<String>,
    params: Params,
) -> Result<Json<ApprovalView>, Problem> {
    params.only(&[])?;
    view(&web, &id).await.map(Json)
}

/// `POST /api/v1/approvals/{id}/grant` with `{"action_digest": "…", "comment": "…"}`.
pub(super) async fn grant(
    State(web): State<Arc<Web>>,
    Approver(caller): Approver,
    Path(id): Path<String>,
    body: HttpBody,
) -> Result<Json<Value>, Problem> {
    let expected = "Send `{\"action_digest\": \"…\", \"comment\": \"…\"}`: the digest of the approval as it was shown to \
                    you; the comment may be left out.";
    let body = object(body, expected).await?;
    let digest = text(&body, "action_digest", expected)?.ok_or_else(|| Problem::bad_request(expected))?;
    let comment = text(&body, "comment", expected)?.unwrap_or_default();
    let view = view(&web, &id).await?;
    answer(&web, &view, caller.person(), Answer { granted: true, digest: Some(digest), comment }).await?;
    Ok(Json(answered(view.id, true)))
}

/// `POST /api/v1/approvals/{id}/deny` with `{"reason": "…"}`.
pub(super) async fn deny(
    State(web): State<Arc<Web>>,
    Approver(caller): Approver,
    Path(id): Path<String>,
    body: HttpBody,
) -> Result<Json<Value>, Problem> {
    let expected = "Send `{\"reason\": \"…\"}`: it stands in the journal and in the report.";
    let comment = text(&object(body, expected).await?, "reason", expected)?;
    let comment = comment.filter(|reason| !reason.is_empty()).ok_or_else(|| Problem::bad_request(expected))?;
    let view = view(&web, &id).await?;
    answer(&web, &view, caller.person(), Answer { granted: false, digest: None, comment }).await?;
    Ok(Json(answered(view.id, false)))
}

/// `GET /api/fleet/approvals?state=&job_id=&limit=&cursor=`: the same list in the words of fleets.
pub(super) async fn fleet_list(State(web): State<Arc<Web>>, _: Viewer, params: Params) -> Result<Json<Value>, Problem> {
    let params = params.only(&["state", "job_id", "limit", "cursor"])?;
    let page = web.store.approvals(&filter(&params, "job_id")?).await?;
    let shown = page.items.iter().map(|view| {
        let mut row = json!(view);
        (row["approval_id"], row["job_id"]) = (json!(view.id), json!(view.investigation));
        row
    });
    Ok(Json(json!({"status": "success", "items": shown.collect::<Vec<_>>(), "next_cursor": page.next_cursor})))
}

/// `POST /api/fleet/approvals/grant` with `{job_id | approval_id, decision, action_digest}`.
pub(super) async fn fleet_answer(
    State(web): State<Arc<Web>>,
    Approver(caller): Approver,
    body: HttpBody,
) -> Result<Json<Value>, Problem> {
    let expected = "Send `{\"job_id\": \"inv_…\" or \"approval_id\": \"apr_…\", \"decision\": \"approved\" or \"denied\", \
                    \"action_digest\": \"…\"}`; the digest may be left out only while the job has exactly one pending \
                    approval.";
    let body = object(body, expected).await?;
    let read = |key: &str| text(&body, key, expected);
    let granted = match read("decision")?.as_deref() {
        Some("approved") => true,
        Some("denied") => false,
        _ => return Err(Problem::bad_request(expected)),
    };
    let digest = read("action_digest")?;
    let comment = read("comment")?.or(read("reason")?).unwrap_or_default();
    let (job, id) = (read("job_id")?, read("approval_id")?);
    let view = match (job, id) {
        (None, None) => return Err(Problem::bad_request(expected)),
        (Some(job), None) => of_job(&web, &job, digest.as_deref()).await?,
        (job, Some(id)) => {
            let view = view(&web, &id).await?;
            if job.is_some_and(|job| job != view.investigation.to_string()) {
                return Err(Problem::bad_request(format!(
                    "{} is no approval of that job. Send one of the two.",
                    view.id
                )));
            }
            view
        }
    };
    let open = web.store.pending_of(view.investigation).await?.len();
    if digest.is_none() && view.state == ApprovalState::Pending && open > 1 {
        return Err(Problem::bad_request(format!("The job has {open} pending approvals. {expected}")));
    }
    answer(&web, &view, caller.person(), Answer { granted, digest, comment }).await?;
    Ok(Json(json!({"status": "success", "result": answered(view.id, granted)})))
}

fn answered(id: ApprovalId, granted: bool) -> Value {
    json!({"approval_id": id, "decision": if granted { "approved" } else { "denied" }})
}

fn filter(params: &Params, investigation: &str) -> Result<ApprovalFilter, Problem> {
    let states: Vec<&str> = ApprovalState::ALL.iter().map(|state| state.as_str()).collect();
    Ok(ApprovalFilter {
        state: params.read("state", &states.join(", "))?,
        investigation: params.read(investigation, "the id of an investigation, inv_…")?,
        cursor: params.cursor::<ApprovalId>("the `next_cursor` of a page of approvals")?,
        limit: params.limit()?,
    })
}

async fn view(web: &Web, id: &str) -> Result<ApprovalView, Problem> {
    let id: ApprovalId =
        id.parse().map_err(|error| Problem::not_found(format!("There is no such approval: {error}.")))?;
    let found = web.store.approval(id).await?;
    found.ok_or_else(|| Problem::not_found(format!("There is no approval {id}. See /api/v1/approvals.")))
}

/// The approval of a job that an answer means: the one with this digest, else the pending one, else the
/// last one, which is over.
async fn of_job(web: &Web, job: &str, digest: Option<&str>) -> Result<ApprovalView, Problem> {
    let id: InvestigationId =
        job.parse().map_err(|error| Problem::not_found(format!("There is no such job: {error}.")))?;
    let views = web.store.approvals(&ApprovalFilter::of(id)).await?.items;
    let meant = |view: &&ApprovalView| digest.is_some_and(|digest| view.action_digest.as_str() == digest);
    let pending = |view: &&ApprovalView| view.state == ApprovalState::Pending;
    let found = views.iter().find(meant).or(views.iter().find(pending)).or(views.first());
    found.cloned().ok_or_else(|| Problem::not_found(format!("{id} has no approval. See /api/v1/approvals.")))
}

/// The body as an object.
async fn object(body: HttpBody, expected: &str) -> Result<Value, Problem> {
    let bytes = body::read(body, MAX_BODY).await?;
    let value: Option<Value> = read_json(&bytes).ok();
    value.filter(Value::is_object).ok_or_else(|| Problem::bad_request(expected))
}

/// The text at `key`; `null` is none.
fn text(body: &Value, key: &str, expected: &str) -> Result<Option<String>, Problem> {
    match &body[key] {
        Value::Null => Ok(None),
        Value::String(text) => Ok(Some(text.trim().to_owned())),
        _ => Err(Problem::bad_request(expected)),
    }
}

/// Leaves the answer of `person`, if it can count.
async fn answer(web: &Web, view: &ApprovalView, person: Person, answer: Answer) -> Result<(), Problem> {
    let now = web.clock.now();
    let waiting = answers_to(web, view).await?;
    if let Some(problem) = objection(view, &waiting, &person, &answer, now) {
        return Err(problem);
    }
    let from = person.name.clone();
    let signal = Signal::Answer {
        approval: view.id,
        digest: view.action_digest.clone(),
        granted: answer.granted,
        by: person,
        at: now,
        comment: clean_text(&answer.comment, MAX_COMMENT, &web.redactor.load()),
    };
    match web.store.signal(view.investigation, &from, signal, now).await? {
        true => Ok(()),
        false => Err(Problem::not_found(format!("There is no investigation {}.", view.investigation))),
    }
}

/// Answers to `view` that are no entries yet, oldest first.
async fn answers_to(web: &Web, view: &ApprovalView) -> Result<Vec<(bool, Person)>, StoreError> {
    let waiting = web.store.signals(view.investigation).await?.into_iter();
    let to_it = waiting.filter_map(|waiting| match waiting.signal {
        Signal::Answer { approval, granted, by, .. } if approval == view.id => Some((granted, by)),
        _ => None,
    });
    Ok(to_it.collect())
}

/// Why an answer cannot count.
fn objection(
    view: &ApprovalView,
    waiting: &[(bool, Person)],
    person: &Person,
    answer: &Answer,
    now: Timestamp,
) -> Option<Problem> {
    let id = view.id;
    if !view.may_be_answered_by(person) {
        return Some(not_eligible(view, person));
    }
    let expired = view.state == ApprovalState::Pending && view.expires_at <= now;
    if expired || view.state == ApprovalState::Expired {
        let detail =
            format!("{id} expired at {}; nobody's silence is a yes, and nothing was changed.", view.expires_at);
        return Some(Problem::new(StatusCode::GONE, "expired", "It expired", detail));
    }
    if view.state == ApprovalState::Invalidated {
        return Some(superseded(format!(
            "{id} was superseded: {}. If the change is still wanted it is asked anew: see \
             /api/v1/approvals?state=pending&investigation={}.",
            view.reason, view.investigation
        )));
    }
    let over = |detail: String| Problem::new(StatusCode::CONFLICT, "final", "It is answered already", detail);
    if view.state != ApprovalState::Pending {
        return Some(over(format!("{id} is {}; a further answer changes nothing.", view.state)));
    }
    if answer.digest.as_deref().is_some_and(|digest| digest != view.action_digest.as_str()) {
        return Some(superseded(format!(
            "The digest is not that of {id}, so the answer is to something else. Read /api/v1/approvals/{id} and \
             decide on what it says now."
        )));
    }
    if let Some((_, by)) = waiting.iter().find(|(granted, _)| !granted) {
        return Some(over(format!("{} has denied {id}; a further answer changes nothing.", by.name)));
    }
    let agreed = waiting.iter().fold(view.clone(), |view, (_, by)| view.agreed_by(by));
    if agreed.is_granted() {
        return Some(over(format!("{id} is approved; a further answer changes nothing.")));
    }
    (answer.granted && agreed.has_agreed(&person.name))
        .then(|| over(format!("{} has agreed to {id} already; it waits for somebody else.", person.name)))
}

fn superseded(detail: String) -> Problem {
    Problem::new(StatusCode::CONFLICT, "superseded", "It is not what was asked", detail)
}

fn not_eligible(view: &ApprovalView, person: &Person) -> Problem {
    let detail = match view.is_own_of(person) {
        true => format!("{} proposed this change; somebody else has to answer {}.", person.name, view.id),
        false => {
            let groups = view.requirements.iter().map(|asked| asked.groups.join(" or ")).collect::<Vec<_>>().join(", ");
            format!("{} is in none of the groups that {} asks: {groups}.", person.name, view.id)
        }
    };
    Problem::new(StatusCode::FORBIDDEN, "not-eligible", "Not yours to answer", detail)
}
