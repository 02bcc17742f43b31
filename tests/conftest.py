"""What all tests share.

pytest puts this folder on the import path because of this file, so every test may say `from synthetic import ...`.
"""
