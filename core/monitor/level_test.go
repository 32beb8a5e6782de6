package monitor_test

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/kaizengarden/moray/core/bunyan"
	"github.com/kaizengarden/moray/core/monitor"
)

func TestLogLevel(t *testing.T) {
	t.Parallel()
	var level bunyan.Level
	addr, _ := start(t, &monitor.Monitor{LogLevel: &level})
	for _, c := range []struct {
		method, body, want string
	}{
		{"GET", "", `200 {"level":"info"}`},
		{"PUT", "debug\n", `200 {"level":"debug"}`},
		{"GET", "", `200 {"level":"debug"}`},
		{"PUT", "loud", `400 {"code":"InvalidArgument","message":"unknown level name: \"loud\""}`},
		{"PUT", strings.Repeat("x", 5000), `413 {"code":"RequestEntityTooLarge","message":"http: request body too large"}`},
		{"POST", "debug", `405 {"code":"MethodNotAllowed","message":"POST is not allowed"}`},
		{"GET", "", `200 {"level":"debug"}`},
	} {
		r, err := http.NewRequest(c.method, "http://"+addr+"/loglevel", strings.NewReader(c.body))
		if err != nil {
			t.Fatal(err)
		}
		status, body := do(t, r)
		if got := fmt.Sprint(status, " ", body); got != c.want {
			t.Errorf("%s %.20q: %s, want %s", c.method, c.body, got, c.want)
		}
	}
	fixed, _ := start(t, &monitor.Monitor{})
	if got := request(t, fixed, "GET", "/loglevel"); got.Status != 404 {
		t.Errorf("without a level: %+v", got)
	}
}

func do(t *testing.T, r *http.Request) (status int, body string) {
	t.Helper()
	r.Close = true
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	if err != nil {
		t.Fatal(err)
	}
	return answer.StatusCode, string(text)
}
