package wire

// AppendIntroduction appends what two members tell each other of themselves before anything else.
// What is in it is the server's business.
func AppendIntroduction(dst, body []byte) ([]byte, error) {
	at := len(dst)
	return checked(append(begin(dst, TypeIntroduction), body...), at)
}
