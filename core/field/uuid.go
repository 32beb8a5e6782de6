package field

// validUUID reports whether text is a UUID as the original took it: 8-4-4-4-12 digits, lower case only.
func validUUID(text []byte) bool {
	if len(text) != 36 {
		return false
	}
	for i, c := range text {
		switch i {
		case 8, 13, 18, 23:
			if c != '-' {
				return false
			}
		default:
			if c-'0' > 9 && (c < 'a' || c > 'f') {
				return false
			}
		}
	}
	return true
}
