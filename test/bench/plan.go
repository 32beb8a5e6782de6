package main

import "regexp"

// step is one measurement of a round: an anchor, which is a script of pgbench, or a load on the server.
type step struct {
	// name identifies the measurement: what is done, how often at the same time, and synchronous_commit where it matters.
	name string
	// sync is the setting of synchronous_commit, "" where nothing is written.
	sync string

	script  string // of an anchor; "" for a load
	clients int    // of pgbench
	proxied bool   // through PgBouncer

	operation string // of a load
	inFlight  int
	conns     int
	anchor    string // the name of the step that the load is compared with; "" for none
}

// anchor returns the step that runs a script with so many clients.
func anchor(script string, clients int, sync string) step {
	return step{name: "pgbench-" + script + "/c" + itoa(clients) + suffix(sync), sync: sync, script: script, clients: clients}
}

// proxied returns the anchor that runs a script through PgBouncer.
func proxied(script string, clients int) step {
	s := anchor(script, clients, "")
	s.name, s.proxied = "pgbouncer-"+script+"/c"+itoa(clients), true
	return s
}

// load returns the step that puts a load on the server.
func load(operation string, inFlight, conns int, sync string) step {
	s := step{operation: operation, inFlight: inFlight, conns: conns, sync: sync}
	s.name = operation + "/" + itoa(inFlight) + "x" + itoa(conns) + suffix(sync)
	clients := 10
	if inFlight == 1 {
		clients = 1
	}
	if script := anchors[operation]; script != "" {
		s.anchor = anchor(script, clients, sync).name
	}
	return s
}

func suffix(sync string) string {
	if sync == "" {
		return ""
	}
	return "/sync-" + sync
}

// anchors are the scripts that operations are compared with, by what comes closest.
var anchors = map[string]string{
	"get": "get", "get16k": "get16k", "find": "find", "findcount": "findcount",
	"puthook": "upsert", "putjs": "upsert", "putschema": "upsert",
	"put": "upsert", "putif": "upsert", "putnew": "insert", "delete": "upsert", "batch10": "upsert", "put16k": "put16k",
}

// plan returns the steps of a round. Anchors stand close to what is compared with them.
func plan(quick bool) []step {
	if quick {
		return quickPlan()
	}
	steps := []step{
		anchor("get", 1, ""), load("get", 1, 1, ""),
		anchor("get", 10, ""), anchor("get10", 4, ""), proxied("get", 10),
		load("get", 10, 4, ""), load("get", 64, 4, ""), load("get", 512, 4, ""), load("get", 512, 256, ""),
		anchor("find", 1, ""), anchor("find", 10, ""), anchor("findcount", 10, ""),
		load("find", 1, 1, ""), load("find", 64, 4, ""), load("findcount", 64, 4, ""),
		anchor("get16k", 10, ""), load("get16k", 64, 4, ""),
	}
	for _, sync := range []string{"on", "off"} {
		steps = append(steps,
			anchor("upsert", 1, sync), load("put", 1, 1, sync),
			anchor("upsert", 10, sync), anchor("put1", 10, sync), anchor("put4", 10, sync),
			load("put", 10, 4, sync), load("put", 64, 4, sync), load("put", 512, 4, sync), load("put", 512, 256, sync),
			load("putif", 64, 4, sync), load("batch10", 64, 4, sync), load("mixed", 64, 4, sync),
			anchor("insert", 10, sync), load("putnew", 64, 4, sync), load("delete", 64, 4, sync),
			anchor("put16k", 10, sync), load("put16k", 64, 4, sync),
			load("puthook", 1, 1, sync), load("putjs", 1, 1, sync), load("putschema", 1, 1, sync),
			load("puthook", 64, 4, sync), load("putjs", 64, 4, sync), load("putschema", 64, 4, sync),
		)
	}
	return steps
}

func quickPlan() []step {
	return []step{
		anchor("get", 1, ""), load("get", 1, 1, ""), anchor("get", 10, ""), load("get", 64, 4, ""),
		anchor("find", 1, ""), load("find", 1, 1, ""), anchor("find", 10, ""), load("find", 64, 4, ""),
		anchor("upsert", 1, "on"), load("put", 1, 1, "on"), anchor("upsert", 10, "on"), load("put", 64, 4, "on"),
		anchor("upsert", 1, "off"), load("put", 1, 1, "off"), load("puthook", 1, 1, "off"), load("putjs", 1, 1, "off"),
		anchor("upsert", 10, "off"), load("put", 64, 4, "off"), load("puthook", 64, 4, "off"), load("putjs", 64, 4, "off"), load("putschema", 64, 4, "off"),
	}
}

// selectSteps returns the steps that only matches, and their anchors, in the order of the plan; all if only is nil.
func selectSteps(all []step, only *regexp.Regexp) []step {
	if only == nil {
		return all
	}
	wanted := map[string]bool{}
	for _, s := range all {
		if only.MatchString(s.name) {
			wanted[s.name], wanted[s.anchor] = true, true
		}
	}
	var selected []step
	for _, s := range all {
		if wanted[s.name] {
			selected = append(selected, s)
		}
	}
	return selected
}
