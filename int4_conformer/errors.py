"""The one exception that speaks to the user."""


class UserError(ValueError):
    """A mistake that the user can mend; the command line prints it as one line and exits 2.

    The message is one sentence that names what was received and says what to do.
    """

    # Keras adds the arguments of the call in which it arose to an error that does not say this.
    _keras_call_info_injected = True
