package firewarden.risk.destructive_test

import data.firewarden.risk.destructive

fires(text) if {
	found := destructive.level with input as {"event": {"text": text}}
	count(found) > 0
	every given in found {
		given.level == "CRITICAL"
	}
}

# Texts that order destruction.
orders := [
	"disk full on db-1. fix: rm -rf /var/lib/postgresql",
	"rm -fr /data",
	"run rm -r --force /srv now",
	"rm --recursive /data",
	"`rm -rf /*`",
	"sudo rm /data -rf",
	"please drop database payments",
	"drop table users;",
	"drop the table orders",
	"truncate table sessions",
	"db.dropdatabase()",
	"delete from users;",
	"redis-cli flushall",
	"delete namespace payments",
	"delete the namespace",
	"delete all pods",
	"just delete everything",
	"kubectl delete ns payments",
	"kubectl -n shop delete pvc data-0",
	"kubectl delete --now pvc/data-0",
	"kubectl delete pods --all",
	"helm uninstall payments -n payments",
	"terraform -chdir=prod destroy -auto-approve",
	"wipe the disk",
	"wipe all data",
	"erase everything",
	"purge all backups",
	"wipefs -a /dev/sda",
	"format disk sdb",
	"format the volume",
	"destroy cluster prod",
	"destroy the production",
	"mkfs.ext4 /dev/sdb1",
	"dd if=/dev/zero of=/dev/sda",
	"zpool destroy tank",
	"lvremove vg0/data",
	"do not hesitate: delete namespace payments",
	"failed to delete pod. then delete the cluster",
]

# What ordinary alerts say.
ordinary := [
	"pod payments/api-7d9f is crash looping",
	"poddeleted: pod api was deleted by the node controller",
	"the volume will be deleted soon by retention",
	"failed to delete volume pvc-1: volume is still attached",
	"unable to delete namespace payments: finalizers remain",
	"do not delete the namespace while this fires",
	"mkfs.ext4 failed on /dev/rbd0",
	"persistentvolume is filling up: 3% free. free some space or delete unused snapshots",
	"prometheus has 3 wal truncation failures",
	"packets are dropped on eth0; conntrack table is full",
	"etcd database size exceeds the quota, database space exceeded",
	"formatandmount failed for volume pvc-1",
	"wrong log format: volume of errors is high",
	"cluster destroyed its quorum",
	"disk wipe job has not completed",
	"delete requests to the api server are slow",
	"job backup-purge failed",
	"kubectl delete pod api-0 restarts it on another node",
	"kubectl get pods --all-namespaces",
	"firmware update: confirm -- performance drop",
	"slow query: delete from sessions where expires < now()",
	"storm -rf is no command",
	"helm release payments failed to upgrade",
	"pvc data-postgres-0 in namespace shop is 93.50% full.",
	"",
]

test_every_order_is_critical if {
	missed := {text | some text in orders; not fires(text)}
	missed == set()
}

test_no_ordinary_alert_is_critical if {
	caught := {text | some text in ordinary; fires(text)}
	caught == set()
}

test_reason_quotes_what_was_found if {
	found := destructive.level with input as {"event": {"text": "now drop table users please"}}
	{given.reason | some given in found} == {"the alert's text speaks of destruction: drop table"}
}

test_own_patterns_count if {
	found := destructive.level with input as {"event": {"text": "make it vanish"}}
		with data.org.risk.destructive_patterns as [`\bvanish\b`]
	count(found) == 1
}

test_without_harmless_phrases_every_word_counts if {
	found := destructive.level with input as {"event": {"text": "failed to delete namespace a"}}
		with data.org.risk.harmless_patterns as []
	count(found) == 1
}
