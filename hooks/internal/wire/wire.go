// Package wire is the contract between moray and its plugins: hook.proto, what is generated from it, and the handshake.
package wire

//go:generate ../../../scripts/generate-wire

// The handshake of go-plugin. The cookie tells a plugin that moray started it; it protects nothing.
const (
	CookieName      = "MORAY_PLUGIN"
	CookieValue     = "hooks"
	ProtocolVersion = 1
)

// WindowBytes is how many bytes of a message can be on their way before the other side has taken any. A fixed window spares the
// measuring of the connection, which is a socket on the same machine.
const WindowBytes = 1 << 20

// Attach is the file in which a plugin that somebody debugs says where it is.
type Attach struct {
	Address string `json:"address"` // a UNIX socket
	PID     int    `json:"pid"`
}

// AttachVariable names the file. A plugin with it in its environment was not started by moray.
const AttachVariable = "MORAY_PLUGIN_ATTACH"
