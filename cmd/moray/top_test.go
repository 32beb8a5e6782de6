package main

import (
	"bytes"
	"context"
	"encoding/json"
	"strings"
	"testing"

	"github.com/kaizengarden/moray/cmd/moray/top"
	"github.com/kaizengarden/moray/core/pgstore/pgtest"
	"github.com/kaizengarden/moray/core/server/servertest"
)

// moray top reads what a server serves, and says in a sentence what is wrong with its arguments.
func TestTop(t *testing.T) {
	t.Parallel()
	s := servertest.Start(t, pgtest.New(t).URL(), servertest.Options{})
	call := func(args ...string) (stdout, stderr string, status int) {
		var out, errs bytes.Buffer
		status = run(context.Background(), append([]string{"top"}, args...), &out, &errs)
		return out.String(), errs.String(), status
	}
	text, errs, status := call("--once", "--interval", "100ms", s.Monitor)
	if status != 0 || !strings.Contains(text, "ready     well: pool, postgresql, server\n") || !strings.Contains(text, "\npool      running: ") {
		t.Errorf("status %d: %s%s", status, text, errs)
	}
	text, errs, status = call("-o", "json", "--interval", "100ms", "http://"+s.Monitor)
	var report top.Report
	if err := json.Unmarshal([]byte(text), &report); err != nil || status != 0 {
		t.Fatalf("status %d, %v: %s%s", status, err, text, errs)
	}
	if report.Pool.State != "running" || report.Cluster.Kind != "static" || !report.Server.Ready {
		t.Errorf("the report is %s", text)
	}

	for args, want := range map[string]string{
		"--once ftp://x":                    `"ftp://x" should be where a monitor is, such as http://127.0.0.1:3020`,
		"--once a b":                        "accepts at most 1 arg(s), received 2",
		"-o yaml x":                         "-o yaml: the format is text or json",
		"--interval 1ms x":                  "--interval 1ms: from 100ms to 1h",
		"--once --ca /nowhere x":            "--ca: open /nowhere: no such file",
		"--once --cert x y":                 "--cert and --key go together",
		"--once " + s.Addr:                  "/kang/snapshot\": ",
		"--once http://" + s.Monitor + "/x": "/x/kang/snapshot answers with the status 404",
	} {
		text, errs, status := call(strings.Fields(args)...)
		if status == 0 || text != "" || !strings.Contains(errs, want) || strings.Count(errs, "\n") != 1 {
			t.Errorf("%s: status %d, %s, %s; want %s", args, status, text, errs, want)
		}
	}
}
