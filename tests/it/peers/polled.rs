//! Pollers of the real Alertmanager: silences, inhibition, what disappears, and gaps on either side.

use super::manager::Manager;
use crate::support::http::eventually;
use crate::support::site::{SOON, Site};
use serde_json::{Value, json};

fn config(manager: &Manager) -> Value {
    json!({"pollers": [{"name": "am", "alertmanager": manager.url(""), "every": "1s"}]})
}

fn labels(namespace: &str, severity: &str) -> Value {
    json!({"namespace": namespace, "severity": severity, "service": "cart"})
}

async fn event(site: &Site, name: &str) -> Option<Value> {
    site.events().await.into_iter().find(|event| event["name"] == name)
}

async fn stands(site: &Site, name: &str, status: &str) -> Value {
    eventually(&format!("{name} is {status}"), SOON, async || event(site, name).await.filter(|e| e["status"] == status))
        .await
}

/// Waits until whatever Alertmanager tells by now was told: an alert that begins now has arrived.
async fn told(manager: &Manager, site: &Site, marker: &str) {
    manager.fire_with(marker, labels(marker, "info")).await;
    stands(site, marker, "firing").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs real Prometheus and Alertmanager: run ./tests/run"]
async fn the_real_alertmanager_is_polled_and_its_silences_and_inhibitions_are_respected() {
    let mut manager = Manager::with(&json!({
        "route": {"receiver": "nobody"}, "receivers": [{"name": "nobody"}],
        "inhibit_rules": [{"source_matchers": ["severity=critical"], "target_matchers": ["severity=warning"], "equal": ["namespace"]}],
    }))
    .await;
    let site = Site::new(config(&manager));
    let mut server = site.up().await;
    manager.fire_with("Loud", labels("shop", "warning")).await;
    let loud = stands(&site, "Loud", "firing").await;
    assert_eq!((&loud["via"], &loud["source"]), (&json!("poller:am"), &json!("alertmanager")));
    assert_eq!(site.closed(loud["investigation"].as_str().unwrap(), SOON).await["outcome"], "reported");

    // What is silenced or inhibited opens nothing.
    let silence = manager.silence("Quiet").await;
    manager.fire_with("Quiet", labels("shop", "warning")).await;
    manager.fire_with("Cause", labels("pay", "critical")).await;
    manager.fire_with("Symptom", labels("pay", "warning")).await;
    stands(&site, "Cause", "firing").await;
    told(&manager, &site, "First").await;
    assert_eq!((event(&site, "Quiet").await, event(&site, "Symptom").await), (None, None));

    // What becomes silenced is not over; what is heard again arrives.
    let of_loud = manager.silence("Loud").await;
    manager.expire(&silence).await;
    stands(&site, "Quiet", "firing").await;
    told(&manager, &site, "Second").await;
    assert_eq!(event(&site, "Loud").await.unwrap()["status"], "firing");

    // What ends is over, silenced or not.
    manager.end("Loud", labels("shop", "warning")).await;
    stands(&site, "Loud", "resolved").await;
    manager.expire(&of_loud).await;
    let view = site.json(&format!("/api/v1/investigations/{}", loud["investigation"].as_str().unwrap())).await;
    assert_eq!(view["alert_status"], "resolved");

    // Nobody asks for a while: what ended is over, what began is there, and what was inhibited is heard.
    server.kill();
    manager.end("Cause", labels("pay", "critical")).await;
    manager.fire_with("Later", labels("shop", "warning")).await;
    let mut server = site.up().await;
    stands(&site, "Cause", "resolved").await;
    stands(&site, "Later", "firing").await;
    stands(&site, "Symptom", "firing").await;

    // Alertmanager dies, comes back and knows nothing: nothing is over for that.
    manager.kill();
    eventually("the poller notices", SOON, async || {
        let metrics = site.get("/metrics").await?.text;
        metrics.contains("firewarden_poller_up{poller=\"am\"} 0").then_some(())
    })
    .await;
    manager.start().await;
    told(&manager, &site, "Third").await;
    for name in ["Later", "Symptom", "Quiet", "First"] {
        assert_eq!(event(&site, name).await.unwrap()["status"], "firing", "{name}");
    }
    // What the new one told itself ends at once.
    manager.end("Third", labels("Third", "info")).await;
    stands(&site, "Third", "resolved").await;
    let (code, shown, wrong) = site.run_with_config(&["doctor"]);
    assert!(shown.contains("poller am") && shown.contains("0 fire, 0 are silenced"), "{code:?} {shown}{wrong}");
    server.kill();
    site.verify_audit();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs real Prometheus and Alertmanager: run ./tests/run"]
async fn what_the_real_alertmanager_sends_and_tells_is_one_event() {
    let site = Site::new(json!({}));
    let manager = Manager::with(&json!({
        "route": {"receiver": "firewarden", "group_by": ["alertname"], "group_wait": "0s", "group_interval": "1s"},
        "receivers": [{"name": "firewarden", "webhook_configs": [{"url": site.url("/webhook/alertmanager")}]}],
    }))
    .await;
    site.reconfigure(|settings| settings["pollers"] = config(&manager)["pollers"].clone());
    let _server = site.up().await;
    // Its start is told to the nanosecond by one way, to the millisecond by the other.
    for n in 0..5 {
        manager
            .fire_with("Slow", json!({"namespace": "shop", "severity": "warning", "service": format!("s{n}")}))
            .await;
    }
    eventually("each came by both ways", SOON, async || {
        let events = site.events().await;
        (events.len() == 5 && events.iter().all(|event| event["deliveries"].as_u64() >= Some(2))).then_some(())
    })
    .await;
    assert!(site.events().await.iter().all(|event| !event["investigation"].is_null()));
    manager.say_over("Slow", json!({"namespace": "shop", "severity": "warning", "service": "s0"})).await;
    eventually("it is over, once", SOON, async || {
        let events = site.events().await;
        (events.iter().filter(|event| event["status"] == "resolved").count() == 1).then_some(())
    })
    .await;
    assert_eq!(site.events().await.len(), 5);
    site.verify_audit();
}
