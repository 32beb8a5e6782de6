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
