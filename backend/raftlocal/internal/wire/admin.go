package wire

// AppendAdmin appends an operator's request. What is in it is the server's business.
func AppendAdmin(dst, body []byte) ([]byte, error) {
	at := len(dst)
	return checked(append(begin(dst, TypeAdmin), body...), at)
}

// AppendAdminReply appends the reply to one.
func AppendAdminReply(dst, body []byte) ([]byte, error) {
	at := len(dst)
	return checked(append(begin(dst, TypeAdminReply), body...), at)
}
