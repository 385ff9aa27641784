//! What surveys found to be one workload, in the journal and in the fold.

use super::*;

fn surveyed(things: &[&str]) -> Body {
    Body::Surveyed {
        stopped: "complete".into(),
        analysis: blob(2),
        findings: 1,
        top_cause: None,
        things: things.iter().map(|thing| (*thing).to_owned()).collect(),
    }
}

#[test]
fn an_entry_of_before_reads_and_hashes_as_it_did() {
    let entry = Head::genesis(CHAIN).seal(CHAIN, at(1), Draft::new(Actor::Survey, surveyed(&[]))).unwrap();
    let stored = serde_json::to_value(&entry).unwrap();
    assert_eq!(stored["body"].as_object().unwrap().len(), 5, "nothing new stands in it: {stored}");
    assert_eq!(
        entry.hash.as_str(),
        "sha256:d710cea72904eeb56d85763bd1390f30d1e403cbdd21e9620466e92d0442dd06",
        "computed before there were things"
    );
    let read: Entry = serde_json::from_value(stored).unwrap();
    assert_eq!(read, entry);
    let with = Head::genesis(CHAIN).seal(CHAIN, at(1), Draft::new(Actor::Survey, surveyed(&["/shop/workload/db"])));
    assert_ne!(with.unwrap().hash, entry.hash, "what was found is vouched for");
}

#[test]
fn what_one_survey_found_stays_known_to_later_ones() {
    let mut life = Life::new(vec![], false);
    life.write(surveyed(&["/shop/k8s_pvc/data", "/shop/workload/db"]));
    life.write(Body::Reopened { reason: "it goes on".into() });
    assert_eq!(life.state.survey.analysis, None, "the next one looks for itself");
    life.write(surveyed(&[]));
    life.write(surveyed(&["/shop/k8s_pvc/more", "/shop/workload/db"]));
    let known: Vec<&str> = life.state.survey.things.iter().map(String::as_str).collect();
    assert_eq!(known, ["/shop/k8s_pvc/data", "/shop/k8s_pvc/more", "/shop/workload/db"]);
    assert_eq!(Investigation::fold(CHAIN, &life.entries).unwrap(), life.state);
    chain::verify(CHAIN, &life.entries).unwrap();
}
