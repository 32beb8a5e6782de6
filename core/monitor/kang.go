package monitor

import (
	"bufio"
	"maps"
	"net"
	"net/http"
	"slices"
	"strconv"
	"time"

	"github.com/kaizengarden/moray/core/jsvalue"
)

// Snapshot is what the kang tools show of an RPC server.
type Snapshot struct {
	Stats       Stats
	Connections []Connection
	Requests    []Request
	Others      []Objects // beyond those of the original
}

// Objects are the objects of one type in a snapshot.
type Objects struct {
	Type string
	ByID map[string]jsvalue.Value // JSON objects
}

// Stats are the counters of a snapshot, all but the first since the start.
type Stats struct {
	ConnectionsActive  uint64
	IgnoredNoConn      uint64 // messages for a connection that is gone
	IgnoredBadConn     uint64 // messages of a connection that has failed
	IgnoredAborts      uint64 // messages that ask to abort a request
	ConnectionsCreated uint64
	RequestsStarted    uint64
	RequestsCompleted  uint64 // failed ones included
	RequestsFailed     uint64
}

// Connection is one client.
type Connection struct {
	ID            uint64
	Local, Remote net.Addr // anything but a *net.TCPAddr is shown as a UNIX socket
	Started       uint64   // requests
	Completed     uint64
	Failed        uint64
	Draining      bool  // takes no more requests
	ErrorSocket   error // why the socket failed, or nil
	ErrorServer   error // why the server gave it up, or nil
	Accepted      time.Time
}

// Request is one call that is not answered yet.
type Request struct {
	Conn       uint64 // number of its connection
	ID         uint32
	Method     string
	Args       jsvalue.Value // an array, not nil
	Blackholed bool          // its connection is lost
	Started    time.Time
}

func serveSchema(w http.ResponseWriter, _ *http.Request) { writeJSON(w, http.StatusOK, []byte("{}")) }

// serveSnapshot writes as it goes, because the arguments of all requests together can be long. The order of the members is
// the original's. An error of a write means that the client is gone, and there is nobody to tell.
func (m *Monitor) serveSnapshot(w http.ResponseWriter, _ *http.Request) {
	shot := m.Kang()
	if m.Slow != nil {
		shot.Others = append(shot.Others, slowObjects(m.Slow()))
	}
	w.Header().Set("Content-Type", "application/json")
	out := bufio.NewWriter(w)
	defer out.Flush()

	out.Write(m.appendService(nil))
	out.Write(m.appendStats(nil, &shot.Stats))
	text := []byte(`,"types":["fastconnection","fastrequest"`)
	for _, o := range shot.Others {
		text = jsvalue.AppendString(append(text, ','), o.Type)
	}
	out.Write(append(text, `],"fastconnection":{`...))
	for i := range shot.Connections {
		if i > 0 {
			out.WriteByte(',')
		}
		text = appendConnection(text[:0], &shot.Connections[i])
		out.Write(text)
	}
	out.WriteString(`},"fastrequest":{`)
	for i := range shot.Requests {
		if i > 0 {
			out.WriteByte(',')
		}
		text = appendRequest(text[:0], &shot.Requests[i])
		out.Write(jsvalue.Sanitize(text)) // a client may have sent half of a surrogate pair
	}
	out.WriteByte('}')
	for _, o := range shot.Others {
		out.Write(o.appendTo(text[:0]))
	}
	out.WriteByte('}')
}

func (o *Objects) appendTo(dst []byte) []byte {
	dst = append(jsvalue.AppendString(append(dst, ','), o.Type), `:{`...)
	for i, id := range slices.Sorted(maps.Keys(o.ByID)) {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = append(append(jsvalue.AppendString(dst, id), ':'), o.ByID[id]...)
	}
	return append(dst, '}')
}

func (m *Monitor) appendService(dst []byte) []byte {
	ident := m.Hostname + "/" + strconv.Itoa(m.PID)
	dst = jsvalue.AppendString(append(dst, `{"service":{"name":"moray","ident":`...), ident)
	return append(dst, `,"version":"1.0.0"}`...)
}

func (m *Monitor) appendStats(dst []byte, s *Stats) []byte {
	dst = appendUint(dst, `,"stats":{"nConnectionsActive":`, s.ConnectionsActive)
	dst = appendUint(dst, `,"nIgnoredMessagesNoConn":`, s.IgnoredNoConn)
	dst = appendUint(dst, `,"nIgnoredMessagesBadConn":`, s.IgnoredBadConn)
	dst = appendUint(dst, `,"nIgnoredMessagesAborts":`, s.IgnoredAborts)
	dst = appendUint(dst, `,"nConnectionsCreated":`, s.ConnectionsCreated)
	dst = appendUint(dst, `,"nRequestsStarted":`, s.RequestsStarted)
	dst = appendUint(dst, `,"nRequestsCompleted":`, s.RequestsCompleted)
	dst = appendUint(dst, `,"nRequestsFailed":`, s.RequestsFailed)
	dst = appendTime(dst, `,"started":`, m.Started)
	memory := readMemory()
	dst = appendUint(dst, `,"memory":{"rss":`, memory.resident)
	dst = appendUint(dst, `,"heapTotal":`, memory.heapTotal)
	dst = appendUint(dst, `,"heapUsed":`, memory.heapUsed)
	return append(dst, `,"external":0}}`...)
}

func appendConnection(dst []byte, c *Connection) []byte {
	dst = append(strconv.AppendUint(append(dst, '"'), c.ID, 10), '"')
	dst = appendUint(dst, `:{"connid":`, c.ID)
	dst = appendAddresses(append(dst, `,"addrinfo":`...), c.Local, c.Remote)
	dst = appendUint(dst, `,"nStarted":`, c.Started)
	dst = appendUint(dst, `,"nCompleted":`, c.Completed)
	dst = appendUint(dst, `,"nFailed":`, c.Failed)
	dst = strconv.AppendBool(append(dst, `,"draining":`...), c.Draining)
	dst = appendError(dst, `,"errorSocket":`, c.ErrorSocket)
	dst = appendError(dst, `,"errorServer":`, c.ErrorServer)
	dst = appendTime(dst, `,"timeAccepted":`, c.Accepted)
	return append(dst, '}')
}

func appendAddresses(dst []byte, local, remote net.Addr) []byte {
	here, ok := local.(*net.TCPAddr)
	there, also := remote.(*net.TCPAddr)
	if !ok || !also {
		return append(dst, `{"socketType":"UDS (inferred)","label":"UDS"}`...)
	}
	client, server := there.AddrPort().Addr().Unmap(), here.AddrPort().Addr().Unmap()
	family := "IPv4"
	if client.Is6() {
		family = "IPv6"
	}
	dst = jsvalue.AppendString(append(dst, `{"remoteAddress":`...), client.String())
	dst = appendUint(dst, `,"remotePort":`, uint64(there.Port))
	dst = jsvalue.AppendString(append(dst, `,"socketType":`...), family)
	dst = jsvalue.AppendString(append(dst, `,"localAddress":`...), server.String())
	dst = appendUint(dst, `,"localPort":`, uint64(here.Port))
	dst = jsvalue.AppendString(append(dst, `,"label":`...), client.String()+":"+strconv.Itoa(there.Port))
	return append(dst, '}')
}

func appendRequest(dst []byte, r *Request) []byte {
	conn, id := strconv.FormatUint(r.Conn, 10), strconv.FormatUint(uint64(r.ID), 10)
	dst = jsvalue.AppendString(dst, conn+"/"+id)
	dst = jsvalue.AppendString(append(dst, `:{"connid":`...), conn)
	dst = jsvalue.AppendString(append(dst, `,"msgid":`...), id)
	dst = jsvalue.AppendString(append(dst, `,"rpcmethod":`...), r.Method)
	dst = append(append(dst, `,"rpcargs":`...), r.Args...)
	dst = strconv.AppendBool(append(dst, `,"state":"RUNNING","error":null,"blackholed":`...), r.Blackholed)
	dst = appendTime(dst, `,"timeStarted":`, r.Started)
	return append(dst, '}')
}

func appendUint(dst []byte, name string, n uint64) []byte {
	return strconv.AppendUint(append(dst, name...), n, 10)
}

// javaScriptTime is how JavaScript prints a Date in JSON, if it is in UTC.
const javaScriptTime = "2006-01-02T15:04:05.000Z"

// appendTime appends t as JavaScript prints a Date in JSON.
func appendTime(dst []byte, name string, t time.Time) []byte {
	return t.UTC().AppendFormat(append(dst, name...), `"`+javaScriptTime+`"`)
}

func appendError(dst []byte, name string, err error) []byte {
	dst = append(dst, name...)
	if err == nil {
		return append(dst, "null"...)
	}
	dst = jsvalue.AppendString(append(dst, `{"name":"Error","message":`...), err.Error())
	return append(dst, '}')
}
