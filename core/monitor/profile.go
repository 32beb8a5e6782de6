package monitor

import (
	"fmt"
	"net/http"
	"net/http/pprof"
	"strconv"
	"strings"
)

// maxProfileSeconds bounds how long a profile or a trace may record.
const maxProfileSeconds = 300

// serveProfile serves the profiles of net/http/pprof, without the command line, which may hold a password.
func serveProfile(w http.ResponseWriter, r *http.Request) {
	if text := r.URL.Query().Get("seconds"); text != "" {
		if seconds, err := strconv.ParseFloat(text, 64); err != nil || !(seconds > 0 && seconds <= maxProfileSeconds) {
			refuse(w, http.StatusBadRequest, "InvalidArgument", fmt.Sprintf("seconds should be a number up to %d", maxProfileSeconds))
			return
		}
	}
	switch name := strings.TrimPrefix(r.URL.Path, profilePath); name {
	case "cmdline":
		refuse(w, http.StatusNotFound, "ResourceNotFound", r.URL.Path+" does not exist")
	case "profile":
		pprof.Profile(w, r)
	case "symbol":
		pprof.Symbol(w, r)
	case "trace":
		pprof.Trace(w, r)
	default:
		pprof.Index(w, r)
	}
}
