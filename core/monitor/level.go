package monitor

import (
	"io"
	"net/http"
	"strings"

	"github.com/kaizengarden/moray/core/jsvalue"
)

// LogLevel is the level of a log, as text.
type LogLevel interface {
	String() string
	Set(text string) error
}

const levelPath = "/loglevel"

// serveLevel tells the level of the log, and changes it: a PUT has the level as its body.
func (m *Monitor) serveLevel(w http.ResponseWriter, r *http.Request) {
	if r.Method == http.MethodPut {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			refuse(w, http.StatusRequestEntityTooLarge, "RequestEntityTooLarge", err.Error())
			return
		}
		text, before := strings.TrimSpace(string(body)), m.LogLevel.String()
		if err := m.LogLevel.Set(text); err != nil {
			refuse(w, http.StatusBadRequest, "InvalidArgument", err.Error())
			return
		}
		m.Log.Warn("log level changed", "from", before, "to", m.LogLevel.String(), "by", r.RemoteAddr)
	}
	writeJSON(w, http.StatusOK, append(jsvalue.AppendString([]byte(`{"level":`), m.LogLevel.String()), '}'))
}
